/**
 * What an app needs to act for a person at a provider elsewhere: the access token that is kept for
 * one of their links, renewed when it is about to expire. The refresh token is told to nobody but
 * the provider.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, notFound, upstreamUnavailable } from '../../base/app-error.js';
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import type { Database, FederatedIdentity, StoredTokens as Row } from '../../base/db/open.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { Lease, StoredToken, TokenVault } from '../identities/token-vault.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession } from '../sessions/sessions.js';
import type { Exchange } from './authorization-code.js';
import type { Provider } from './provider.js';
import type { TokenRevocation } from './token-revocation.js';

interface Deps {
  db: Database;
  clock: Clock;
  rateLimiter: RateLimiter;
  audit: Audit;
  identities: Identities;
  tokenVault: TokenVault;
  exchange: Pick<Exchange, 'renew'>;
  tokenRevocation: Pick<TokenRevocation, 'revokeReceived'>;
  providers: Provider[];
}

/** Who reads which token, and whose it is. */
interface Reading {
  provider: Provider;
  identity: FederatedIdentity;
  login: AuthenticatedSession;
  meta: RequestMeta;
}

const READS: Limit = { name: 'provider-token', points: 120, seconds: MINUTE_SECONDS };
/** What expires so soon may have expired before it is used. */
const RENEW_BEFORE_SECONDS = MINUTE_SECONDS;
/** Who has to wait for another's renewal looks so often, and so many times. */
const POLL_INTERVAL_MS = 100;
const MAX_POLLS = 80;

export type ProviderTokens = ReturnType<typeof createProviderTokens>;

export function createProviderTokens(deps: Deps) {
  const { db, clock, rateLimiter, audit, identities, tokenVault, exchange, tokenRevocation, providers } = deps;

  return { read };

  /**
   * The access token of a link of one's own. Refuses with `not_found` where none is kept, with
   * `provider_sign_in_required` when what is kept is no longer good, and with
   * `upstream_unavailable` or `upstream_invalid_response` when it cannot be renewed now.
   */
  async function read(login: AuthenticatedSession, linkId: string, meta: RequestMeta): Promise<StoredToken> {
    const { account } = login;
    await rateLimiter.consume(READS, account.id);
    const identity = await identities.findOwn(account.id, linkId);
    if (!identity) throw notFound('There is no such link.');
    const provider = providers.find(({ issuer, storesTokens }) => storesTokens && issuer === identity.issuer);
    if (!provider) throw notFound('Nothing that this provider hands out is kept here.');
    const row = await tokenVault.find(identity.id);
    if (!row) throw notFound(`Nothing of ${provider.name} is kept for you. Sign in with ${provider.name} again.`);
    const reading = { provider, identity, login, meta };
    const token = await validToken(row, reading);
    await audit.record(entryFor('identity.token_accessed', reading));
    return token;
  }

  /**
   * As it is kept, or renewed: by one of all who ask at once, while the others wait for what comes
   * of it.
   */
  async function validToken(first: Row, reading: Reading): Promise<StoredToken> {
    const { provider, identity } = reading;
    if (isUsable(first, RENEW_BEFORE_SECONDS)) return toStored(first, provider);
    let row: Row | undefined = first;
    for (let looks = 0; looks < MAX_POLLS; looks += 1) {
      if (!row) throw signInAgain(provider);
      // Another one's renewal has ended: however soon this one expires, it is the newest that there
      // is.
      if (row.sealedAccess !== first.sealedAccess && isUsable(row)) return toStored(row, provider);
      const refreshToken = await tokenVault.openRefresh(row);
      if (!refreshToken && !isUsable(row)) throw signInAgain(provider);
      if (!refreshToken) return toStored(row, provider);
      const lease = await tokenVault.lease(row, refreshToken);
      const renewed = lease && (await renew(lease, reading));
      if (renewed) return renewed;
      if (!lease) await sleep(POLL_INTERVAL_MS * (0.5 + Math.random()));
      row = await tokenVault.find(identity.id);
    }
    if (row && isUsable(row)) return toStored(row, provider);
    throw upstreamUnavailable(`The token of ${provider.name} is being renewed. Please try again.`);
  }

  /** Undefined when something newer has come meanwhile. */
  async function renew(lease: Lease, reading: Reading): Promise<StoredToken | undefined> {
    const { provider, identity } = reading;
    const before = await tokenVault.open(lease.row);
    const given = await exchange.renew(provider, identity, lease.refreshToken).catch(async (error: unknown) => {
      await tokenVault.release(lease);
      if (error instanceof AppError && isUsable(lease.row) && before) return undefined; // it is good for some seconds yet
      throw error;
    });
    if (!given) return before;
    if (given === 'refused') {
      const dropped = await db.$transaction(async (tx) => {
        if (!(await tokenVault.discard(lease, tx))) return false;
        await audit.record(entryFor('identity.token_discarded', reading), tx);
        return true;
      });
      if (dropped) throw signInAgain(provider);
      return undefined;
    }
    // An answer that is silent about the scope means the one before (RFC 6749, 6).
    const { refreshToken, ...token } = { ...given, scope: given.scope ?? before?.scope };
    if (await tokenVault.renew(lease, { refreshToken, ...token })) return token;
    // Unlinked meanwhile: then the one before was given back, which may be worth nothing since this
    // one is there.
    if (!(await tokenVault.find(identity.id))) tokenRevocation.revokeReceived(provider, given);
    return undefined;
  }

  async function toStored(row: Row, provider: Provider): Promise<StoredToken> {
    const token = await tokenVault.open(row);
    if (!token) throw signInAgain(provider);
    return token;
  }

  function isUsable({ expiresAt }: Row, seconds = 0): boolean {
    return expiresAt === null || expiresAt > addSeconds(clock.now(), seconds);
  }
}

function entryFor(
  action: 'identity.token_accessed' | 'identity.token_discarded',
  { identity: { issuer, subject, accountId }, login: { session }, meta }: Reading,
): AuditEntry {
  const actor = { kind: 'account' as const, id: accountId };
  return { action, actor, accountId, sessionId: session.id, meta, detail: { issuer, subject } };
}

const signInAgain = ({ name }: Provider) =>
  new AppError(
    409,
    'provider_sign_in_required',
    `What ${name} gave for you is no longer good. Sign in with ${name} again.`,
  );
