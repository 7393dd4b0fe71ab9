/**
 * Sign-ins that are under way at a provider elsewhere. Each is found by its state together with the
 * key of the browser that began it, once, and for some minutes. Verifier and nonce are made of the
 * same two, so that the store holds no secret.
 */
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import { hmacSha256, randomToken, sha256 } from '../../base/crypto.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { AuthorizationOptions, LoginState } from './authorization-code.js';

export interface NewFlow extends AuthorizationOptions {
  providerId: string;
  redirectUri: string;
  /** The account that is to be linked; without it, somebody signs in. */
  accountId?: string | undefined;
  /** What the door wants to know when it goes on. */
  note: Prisma.InputJsonObject;
}

export interface PendingLogin extends NewFlow {
  binding: LoginState;
}

const PURPOSE = 'federation';
export const FLOW_SECONDS = 10 * MINUTE_SECONDS;

export type PendingLogins = ReturnType<typeof createPendingLogins>;

export function createPendingLogins({ db, clock }: { db: Database; clock: Clock }) {
  return { create, consume };

  /** @param browser a secret that only this browser has */
  async function create(flow: NewFlow, browser: string): Promise<LoginState> {
    const state = randomToken();
    const { accountId, ...data } = flow;
    const now = clock.now();
    await db.oneTimeToken.create({
      data: {
        tokenHash: hashOf(state, browser),
        purpose: PURPOSE,
        accountId,
        data: { ...data },
        createdAt: now,
        expiresAt: addSeconds(now, FLOW_SECONDS),
      },
    });
    return bindingOf(state, browser, flow.redirectUri);
  }

  /**
   * Of many at once exactly one gets it. Nothing for a state that is unknown, old, used, or of
   * another browser.
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
    const flow = row.data as unknown as NewFlow;
    return { ...flow, accountId: row.accountId ?? undefined, binding: bindingOf(state, browser, flow.redirectUri) };
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
