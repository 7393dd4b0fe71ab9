/**
 * Returns stored provider tokens to apps that act for a user at an external provider. Refreshes
 * them when they are about to expire. Refresh tokens are sent to the provider only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, notFound, upstreamUnavailable } from '../../base/app-error.js';
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import type { FederatedIdentity, StoredTokens as Row } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { Lease, StoredToken, TokenVault } from '../identities/token-vault.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession } from '../sessions/sessions.js';
import type { CodeFlow } from './authorization-code.js';
import type { Provider } from './provider.js';
import type { TokenRevocation } from './token-revocation.js';

interface Deps {
  transact: Transact;
  clock: Clock;
  rateLimiter: RateLimiter;
  audit: Audit;
  identities: Identities;
  tokenVault: TokenVault;
  codeFlow: Pick<CodeFlow, 'renew'>;
  tokenRevocation: Pick<TokenRevocation, 'revokeReceived'>;
  providers: Provider[];
}

/** One request for a stored token. */
interface Reading {
  provider: Provider;
  identity: FederatedIdentity;
  authenticated: AuthenticatedSession;
  meta: RequestMeta;
}

const READS: Limit = { name: 'provider-token', points: 120, seconds: MINUTE_SECONDS };
/** A token that expires sooner could expire before it is used. */
const RENEW_BEFORE_SECONDS = MINUTE_SECONDS;
/** How callers poll for a refresh that another caller has started. */
const POLL_INTERVAL_MS = 100;
const MAX_POLLS = 80;

export type ProviderTokens = ReturnType<typeof createProviderTokens>;

export function createProviderTokens(deps: Deps) {
  const { transact, clock, rateLimiter, audit, identities, tokenVault, codeFlow, tokenRevocation, providers } = deps;

  return { read };

  /**
   * Returns the access token of one of the user's links. Throws `AppError` `not_found` if none is
   * stored, `provider_sign_in_required` if it is no longer valid, and `upstream_unavailable` or
   * `upstream_invalid_response` if it cannot be refreshed now.
   */
  async function read(authenticated: AuthenticatedSession, linkId: string, meta: RequestMeta): Promise<StoredToken> {
    const { account } = authenticated;
    await rateLimiter.consume(READS, account.id);
    const identity = await identities.findOwn(account.id, linkId);
    if (!identity) throw notFound('This link does not exist.');
    const provider = providers.find(({ issuer, storesTokens }) => storesTokens && issuer === identity.issuer);
    if (!provider) throw notFound('Tokens of this provider are not stored here.');
    const row = await tokenVault.find(identity.id);
    if (!row) throw notFound(`No token of ${provider.name} is stored for you. Sign in with ${provider.name} again.`);
    const reading = { provider, identity, authenticated, meta };
    const token = await validToken(row, reading);
    await audit.record(undefined, 'identity.token_accessed', eventOf(reading));
    return token;
  }

  /**
   * Returns the stored token, refreshing it if it is about to expire. Concurrent callers share one
   * refresh.
   */
  async function validToken(first: Row, reading: Reading): Promise<StoredToken> {
    const { provider, identity } = reading;
    if (isUsable(first, RENEW_BEFORE_SECONDS)) return toStored(first, provider);
    let row: Row | undefined = first;
    for (let polls = 0; polls < MAX_POLLS; polls += 1) {
      if (!row) throw signInAgain(provider);
      // Another caller has refreshed it: this is the newest token, however soon it expires.
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
    throw upstreamUnavailable(`The token of ${provider.name} is being refreshed. Try again.`);
  }

  /** Returns undefined if a newer token was stored in the meantime. */
  async function renew(lease: Lease, reading: Reading): Promise<StoredToken | undefined> {
    const { provider, identity } = reading;
    const before = await tokenVault.open(lease.row);
    const received = await codeFlow.renew(provider, identity, lease.refreshToken).catch(async (error: unknown) => {
      await tokenVault.release(lease);
      if (error instanceof AppError && isUsable(lease.row) && before) return undefined; // it has not expired yet
      throw error;
    });
    if (!received) return before;
    if (received === 'rejected') {
      const dropped = await transact(async (uow) => {
        if (!(await tokenVault.discard(lease, uow.tx))) return false;
        await audit.record(uow, 'identity.token_discarded', eventOf(reading));
        return true;
      });
      if (dropped) throw signInAgain(provider);
      return undefined;
    }
    // A response without scope means the previous one (RFC 6749, section 6).
    const { refreshToken, ...token } = { ...received, scope: received.scope ?? before?.scope };
    if (await tokenVault.renew(lease, { refreshToken, ...token })) return token;
    // Unlinked in the meantime: that revoked the old token, but not this one.
    if (!(await tokenVault.find(identity.id))) tokenRevocation.revokeReceived(provider, received);
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

function eventOf({ identity: { issuer, subject, accountId }, authenticated: { session }, meta }: Reading): AuditEvent {
  return { by: accountId, accountId, sessionId: session.id, meta, detail: { issuer, subject } };
}

const signInAgain = ({ name }: Provider) =>
  new AppError(
    409,
    'provider_sign_in_required',
    `The token of ${name} is no longer valid. Sign in with ${name} again.`,
  );
