/**
 * Returns stored access tokens of external providers to apps that act for a user there. Refreshes
 * them when they are about to expire. Refresh tokens are only sent to the provider, never to apps.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, notFound, upstreamUnavailable } from '../../base/app-error.js';
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import type { FederatedIdentity, StoredTokens as Row } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import { LIMITS } from '../../base/limits.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { Lease, StoredToken, TokenVault } from '../identities/token-vault.js';
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
  codeFlow: Pick<CodeFlow, 'refresh'>;
  tokenRevocation: Pick<TokenRevocation, 'revokeReceived'>;
  providers: Provider[];
}

/** A request for a stored token. */
interface TokenRequest {
  provider: Provider;
  identity: FederatedIdentity;
  authenticated: AuthenticatedSession;
  meta: RequestMeta;
}

const READS_BY_ACCOUNT = LIMITS['provider-token'];
/** A token is refreshed this long before it expires, so that the app can still use it. */
const REFRESH_BEFORE_EXPIRY_SECONDS = MINUTE_SECONDS;
/** Callers poll for the result of a refresh that another caller started. */
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
    await rateLimiter.consume(READS_BY_ACCOUNT, account.id);
    const identity = await identities.findOwn(account.id, linkId);
    if (!identity) throw notFound('This link does not exist.');
    const provider = providers.find(({ issuer, storesTokens }) => storesTokens && issuer === identity.issuer);
    if (!provider) throw notFound('Tokens of this provider are not stored here.');
    const row = await tokenVault.find(identity.id);
    if (!row) throw notFound(`No token of ${provider.name} is stored for you. Sign in with ${provider.name} again.`);
    const request = { provider, identity, authenticated, meta };
    const token = await validToken(row, request);
    await audit.record(undefined, 'identity.token_accessed', auditEventOf(request));
    return token;
  }

  /**
   * Returns the stored token, refreshing it if it is about to expire. Concurrent callers share one
   * refresh.
   */
  async function validToken(initialRow: Row, request: TokenRequest): Promise<StoredToken> {
    const { provider, identity } = request;
    if (isUnexpired(initialRow, REFRESH_BEFORE_EXPIRY_SECONDS)) return decrypt(initialRow, provider);
    let row: Row | undefined = initialRow;
    for (let polls = 0; polls < MAX_POLLS; polls += 1) {
      if (!row) throw signInAgain(provider);
      // Another caller has refreshed the token. It is the newest one, even if it expires soon.
      if (row.sealedAccess !== initialRow.sealedAccess && isUnexpired(row)) return decrypt(row, provider);
      const refreshToken = await tokenVault.openRefresh(row);
      if (!refreshToken && !isUnexpired(row)) throw signInAgain(provider);
      if (!refreshToken) return decrypt(row, provider);
      const lease = await tokenVault.lease(row, refreshToken);
      const refreshed = lease && (await refresh(lease, request));
      if (refreshed) return refreshed;
      if (!lease) await sleep(POLL_INTERVAL_MS * (0.5 + Math.random()));
      row = await tokenVault.find(identity.id);
    }
    if (row && isUnexpired(row)) return decrypt(row, provider);
    throw upstreamUnavailable(`The token of ${provider.name} is being refreshed. Try again.`);
  }

  /**
   * Refreshes the token under a lease. Returns the old token if the provider fails and the token
   * has not expired. Returns undefined if another caller changed the stored token in the meantime.
   */
  async function refresh(lease: Lease, request: TokenRequest): Promise<StoredToken | undefined> {
    const { provider, identity } = request;
    const oldToken = await tokenVault.open(lease.row);
    const received = await codeFlow.refresh(provider, identity, lease.refreshToken).catch(async (error: unknown) => {
      await tokenVault.release(lease);
      if (error instanceof AppError && isUnexpired(lease.row) && oldToken) return undefined;
      throw error;
    });
    if (!received) return oldToken;
    if (received === 'rejected') {
      const discarded = await transact(async (uow) => {
        if (!(await tokenVault.discard(lease, uow.tx))) return false;
        await audit.record(uow, 'identity.token_discarded', auditEventOf(request));
        return true;
      });
      if (discarded) throw signInAgain(provider);
      return undefined;
    }
    // In a response without scope, the scope is unchanged (RFC 6749, section 6).
    const { refreshToken, ...token } = { ...received, scope: received.scope ?? oldToken?.scope };
    if (await tokenVault.renew(lease, { refreshToken, ...token })) return token;
    // If the user unlinked the provider in the meantime, only the old token was revoked.
    if (!(await tokenVault.find(identity.id))) tokenRevocation.revokeReceived(provider, received);
    return undefined;
  }

  async function decrypt(row: Row, provider: Provider): Promise<StoredToken> {
    const token = await tokenVault.open(row);
    if (!token) throw signInAgain(provider);
    return token;
  }

  /** Reports whether the access token is valid for more than `seconds`, or has no known expiry. */
  function isUnexpired({ expiresAt }: Row, seconds = 0): boolean {
    return expiresAt === null || expiresAt > addSeconds(clock.now(), seconds);
  }
}

function auditEventOf({ identity, authenticated: { session }, meta }: TokenRequest): AuditEvent {
  const { issuer, subject, accountId } = identity;
  return { by: accountId, accountId, sessionId: session.id, meta, detail: { issuer, subject } };
}

const signInAgain = ({ name }: Provider) =>
  new AppError(
    409,
    'provider_sign_in_required',
    `The token of ${name} is no longer valid. Sign in with ${name} again.`,
  );
