/**
 * Stores pending logins at external providers. A login can be consumed once, within ten minutes,
 * with its state and the secret of the browser that started it. The code verifier and the nonce are
 * derived from both, so the database stores no secret.
 */
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import { hmacSha256, randomToken, sha256 } from '../../base/crypto.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { AuthorizationOptions, BrowserBinding } from './authorization-code.js';

export interface NewLogin extends AuthorizationOptions {
  providerId: string;
  redirectUri: string;
  /** The account to link. Undefined for a sign-in. */
  accountId?: string | undefined;
  /** Data of the caller, which `consume` returns. */
  data: Prisma.InputJsonObject;
}

export interface PendingLogin extends NewLogin {
  binding: BrowserBinding;
}

const PURPOSE = 'federated-login';
export const PENDING_LOGIN_SECONDS = 10 * MINUTE_SECONDS;

export type PendingLogins = ReturnType<typeof createPendingLogins>;

export function createPendingLogins({ db, clock }: { db: Database; clock: Clock }) {
  return { create, consume };

  /**
   * Stores a pending login, and returns the values for the authorization request.
   *
   * @param browserSecret a secret that only this browser has
   */
  async function create({ accountId, ...login }: NewLogin, browserSecret: string): Promise<BrowserBinding> {
    const state = randomToken();
    const now = clock.now();
    await db.oneTimeToken.create({
      data: {
        tokenHash: hashOf(state, browserSecret),
        purpose: PURPOSE,
        accountId,
        data: { ...login },
        createdAt: now,
        expiresAt: addSeconds(now, PENDING_LOGIN_SECONDS),
      },
    });
    return bindingOf(state, browserSecret, login.redirectUri);
  }

  /**
   * Consumes and returns a pending login. Only one of several concurrent calls succeeds. Returns
   * undefined if the state is unknown, expired, used, or from another browser.
   */
  async function consume(state: string, browserSecret: string): Promise<PendingLogin | undefined> {
    const now = clock.now();
    const tokenHash = hashOf(state, browserSecret);
    const { count } = await db.oneTimeToken.updateMany({
      where: { tokenHash, purpose: PURPOSE, consumedAt: null, expiresAt: { gt: now } },
      data: { consumedAt: now },
    });
    if (count !== 1) return undefined;
    const row = await db.oneTimeToken.findUniqueOrThrow({ where: { tokenHash } });
    const login = row.data as unknown as NewLogin;
    const binding = bindingOf(state, browserSecret, login.redirectUri);
    return { ...login, accountId: row.accountId ?? undefined, binding };
  }
}

const hashOf = (state: string, browserSecret: string) => sha256(`${state}.${browserSecret}`);

function bindingOf(state: string, browserSecret: string, redirectUri: string): BrowserBinding {
  const key = Buffer.from(browserSecret);
  return {
    redirectUri,
    state,
    verifier: hmacSha256(key, `verifier ${state}`),
    nonce: hmacSha256(key, `nonce ${state}`),
  };
}
