/**
 * Pending logins at external providers. Each is found once, within some minutes, by its state
 * together with the secret of the browser that started it. Code verifier and nonce are derived from
 * both, so that the database stores no secret.
 */
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import { hmacSha256, randomToken, sha256 } from '../../base/crypto.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { AuthorizationOptions, LoginState } from './authorization-code.js';

export interface NewLogin extends AuthorizationOptions {
  providerId: string;
  redirectUri: string;
  /** The account to link; undefined for a sign-in. */
  accountId?: string | undefined;
  /** Data of the page that started the login, returned to it by `consume`. */
  data: Prisma.InputJsonObject;
}

export interface PendingLogin extends NewLogin {
  binding: LoginState;
}

const PURPOSE = 'federated-login';
export const LOGIN_SECONDS = 10 * MINUTE_SECONDS;

export type PendingLogins = ReturnType<typeof createPendingLogins>;

export function createPendingLogins({ db, clock }: { db: Database; clock: Clock }) {
  return { create, consume };

  /**
   * Stores a pending login and returns its state.
   *
   * @param browser a secret that only this browser has
   */
  async function create({ accountId, ...login }: NewLogin, browser: string): Promise<LoginState> {
    const state = randomToken();
    const now = clock.now();
    await db.oneTimeToken.create({
      data: {
        tokenHash: hashOf(state, browser),
        purpose: PURPOSE,
        accountId,
        data: { ...login },
        createdAt: now,
        expiresAt: addSeconds(now, LOGIN_SECONDS),
      },
    });
    return bindingOf(state, browser, login.redirectUri);
  }

  /**
   * Consumes a pending login. Of several concurrent calls exactly one gets it. Returns undefined if
   * the state is unknown, expired, used, or of another browser.
   */
  async function consume(state: string, browser: string): Promise<PendingLogin | undefined> {
    const now = clock.now();
    const tokenHash = hashOf(state, browser);
    const { count } = await db.oneTimeToken.updateMany({
      where: { tokenHash, purpose: PURPOSE, consumedAt: null, expiresAt: { gt: now } },
      data: { consumedAt: now },
    });
    if (count !== 1) return undefined;
    const row = await db.oneTimeToken.findUniqueOrThrow({ where: { tokenHash } });
    const login = row.data as unknown as NewLogin;
    return { ...login, accountId: row.accountId ?? undefined, binding: bindingOf(state, browser, login.redirectUri) };
  }
}

const hashOf = (state: string, browser: string) => sha256(`${state}.${browser}`);

function bindingOf(state: string, browser: string, redirectUri: string): LoginState {
  const key = Buffer.from(browser);
  return {
    redirectUri,
    state,
    verifier: hmacSha256(key, `verifier ${state}`),
    nonce: hmacSha256(key, `nonce ${state}`),
  };
}
