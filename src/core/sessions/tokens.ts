/**
 * First-party tokens of sessions without a browser: a short-lived access token, which is a JWT, and
 * a refresh token. Refresh tokens are opaque (256 bits), stored as hashes, single-use and rotated.
 *
 * Each such session is one token family. core/oauth-storage stores it as a grant of a client that
 * cannot be registered, so that first-party and OAuth tokens share one implementation:
 * - *Retry and reuse detection.* A client that lost a response can retry the request within the
 *   reuse interval. The unused successor is replaced and the access tokens of the lost response are
 *   revoked, so one active branch remains. If the successor was used or the interval is over, the
 *   token counts as stolen and the session is revoked. Revoking at every retry would sign users out
 *   after each lost response. Returning the same successor would leave an undetected
 *   copy with the attacker.
 * - *Revocation during a refresh* leaves no active token. Rotation locks the grant, which the
 *   revocation deletes, so the successor is either not stored or deleted with it. Its access token
 *   names the session, and a revoked session is rejected.
 * - *Consumed tokens are deleted* after a day by core/jobs/cleanup, so that families do not grow
 *   without limit.
 */

import { AppError, unauthorized } from '../../base/app-error.js';
import { addSeconds, type Clock, epochSeconds } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { Queryable } from '../../base/db/open.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account } from '../accounts/accounts.js';
import { ANONYMOUS, type Audit } from '../audit/audit.js';
import type { JwtKind, Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { AuthenticatedSession, Session, Sessions } from './sessions.js';

/** The `client_id` of first-party tokens. Registered clients get generated ids, never this one. */
const FIRST_PARTY_CLIENT = 'signet';
const TYP = 'session+jwt';
const RESPONSE_ID_BYTES = 16;

/** The tokens of one response. */
export interface LoginTokens {
  /** Shared by all access tokens of one response, which are revoked together. */
  responseId: string;
  accessToken: string;
  /** The remaining lifetime of the access token. */
  accessSeconds: number;
  refreshToken: string;
  refreshSeconds: number;
}

export interface SessionWithTokens extends AuthenticatedSession {
  tokens: LoginTokens;
}

/** A session that was just created, with its only token. */
export interface SessionWithAccessToken extends AuthenticatedSession {
  accessToken: string;
  /** The remaining lifetime of the access token. */
  seconds: number;
}

/** A valid access token with its session. */
export interface AccessTokenUse {
  authenticated: AuthenticatedSession;
  responseId: string;
  expiresAt: Date;
}

interface Deps {
  clock: Clock;
  issuer: string;
  audit: Audit;
  oauthStorage: OAuthStorage;
  jwts: Jwts;
  sessions: Sessions;
  accessSeconds: number;
  refreshSeconds: number;
}

export type Tokens = ReturnType<typeof createTokens>;

export function createTokens({
  clock,
  issuer,
  audit,
  oauthStorage,
  jwts,
  sessions,
  accessSeconds,
  refreshSeconds,
}: Deps) {
  const { grants, refreshTokens } = oauthStorage;
  /** The idle lifetime of a session: both its tokens have expired by then. */
  const idleSeconds = Math.max(refreshSeconds, accessSeconds);
  const jwtKind: JwtKind = { typ: TYP, audience: `${issuer}/api/v1` };

  return { open, openForOne, refresh, extendAccess, signAccess, inspect, verify };

  /** Creates a session with its first tokens, in the transaction of the session issuer. */
  async function open(account: Account, amr: string[], meta: RequestMeta, tx: Queryable): Promise<SessionWithTokens> {
    const session = await sessions.openForTokens(account, amr, idleSeconds, meta, tx);
    const grant = { id: randomToken(), accountId: account.id, clientId: FIRST_PARTY_CLIENT, sessionId: session.id };
    await grants.open(
      { ...grant, offline: false, consented: false, payload: {}, expiresAt: sessions.absoluteExpiry(session) },
      tx,
    );
    const authenticated = { session, account, amr };
    const { tokens, row } = await createTokenPair(authenticated, grant.id);
    await refreshTokens.save(row, tx);
    return { ...authenticated, tokens };
  }

  /** Creates a session with one access token for `givenSeconds` and no refresh token. */
  async function openForOne(
    account: Account,
    amr: string[],
    lifetimeSeconds: number,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<SessionWithAccessToken> {
    const session = await sessions.openForTokens(account, amr, lifetimeSeconds, meta, tx);
    const authenticated = { session, account, amr };
    return { ...authenticated, ...(await signAccess(authenticated, randomToken(RESPONSE_ID_BYTES), lifetimeSeconds)) };
  }

  /**
   * Rotates a refresh token. Throws `AppError` `invalid_token` or `expired_token`. A token that is
   * reused, and not as a retry, revokes the session.
   */
  async function refresh(refreshToken: string, meta: RequestMeta): Promise<SessionWithTokens> {
    const id = oauthStorage.idOf(refreshToken);
    const { stored, authenticated } = await findActive(id);
    if (stored.state === 'reused') return revokeFamily(authenticated.session, meta);
    const { tokens, row } = await createTokenPair(authenticated, stored.grantId);
    const outcome = await refreshTokens.rotate(id, row, undefined);
    if (outcome === 'reused') return revokeFamily(authenticated.session, meta);
    if (outcome === 'revoked' || !(await extendSession(authenticated.session))) throw invalidToken();
    // After a retry, the access token of the lost response must not stay cached.
    if (stored.state === 'retryable') await sessions.changed(authenticated.session.id);
    return { ...authenticated, tokens };
  }

  /**
   * Replaces an access token that has not expired and extends its session. The refresh token does
   * not change. Throws `AppError` `invalid_token` if the session was revoked.
   */
  async function extendAccess({
    authenticated,
    responseId,
  }: AccessTokenUse): Promise<{ accessToken: string; seconds: number }> {
    const expiresAt = await extendSession(authenticated.session);
    if (!expiresAt) throw invalidToken();
    return signAccess(
      { ...authenticated, session: { ...authenticated.session, expiresAt } },
      responseId,
      accessSeconds,
    );
  }

  /** Signs an access token for at most `seconds`, capped at the session's absolute expiry. */
  async function signAccess({ session, account, amr }: AuthenticatedSession, responseId: string, seconds: number) {
    const { expiresAt, cappedSeconds } = capAtSession(session, seconds);
    const claims = {
      sub: account.id,
      client_id: FIRST_PARTY_CLIENT,
      jti: `${responseId}.${randomToken(RESPONSE_ID_BYTES)}`,
      sid: session.id,
      auth_time: epochSeconds(session.authTime),
      amr,
      email: account.email,
      role: account.role,
    };
    const accessToken = await jwts.sign(jwtKind, claims, expiresAt);
    return { accessToken, seconds: cappedSeconds };
  }

  /** Returns the active session of a refresh token without rotating it. */
  async function inspect(refreshToken: string): Promise<AuthenticatedSession | undefined> {
    try {
      const { stored, authenticated } = await findActive(oauthStorage.idOf(refreshToken));
      return stored.state === 'reused' ? undefined : authenticated;
    } catch (error) {
      if (error instanceof AppError) return undefined;
      throw error;
    }
  }

  /** Verifies an access token, and checks in the stores that its session is still active. */
  async function verify(token: string): Promise<AccessTokenUse | 'expired' | undefined> {
    const verified = await jwts.verify(token, jwtKind);
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const { sub, sid, jti, exp } = verified.claims as { sub: string; sid: string; jti: string; exp: number };
    const responseId = jti.slice(0, jti.indexOf('.'));
    const [authenticated, isRevoked] = await Promise.all([sessions.find(sid), oauthStorage.isJwtRevoked(responseId)]);
    if (!authenticated || authenticated.account.id !== sub || isRevoked) return undefined;
    return { authenticated, responseId, expiresAt: new Date(exp * 1000) };
  }

  async function findActive(id: string) {
    const stored = await refreshTokens.find(id);
    if (!stored) throw (await refreshTokens.hasExpired(id)) ? expiredToken() : invalidToken();
    const grant = await grants.find(stored.grantId);
    const authenticated =
      grant?.clientId === FIRST_PARTY_CLIENT && grant.sessionId && (await sessions.find(grant.sessionId));
    if (!authenticated) throw invalidToken();
    return { stored, authenticated };
  }

  async function createTokenPair(authenticated: AuthenticatedSession, grantId: string) {
    const responseId = randomToken(RESPONSE_ID_BYTES);
    const refreshToken = randomToken();
    const { accessToken, seconds } = await signAccess(authenticated, responseId, accessSeconds);
    const { expiresAt, cappedSeconds: refreshLifeSeconds } = capAtSession(authenticated.session, refreshSeconds);
    const tokens: LoginTokens = {
      responseId,
      accessToken,
      accessSeconds: seconds,
      refreshToken,
      refreshSeconds: refreshLifeSeconds,
    };
    const accessTokenId = oauthStorage.idOf(responseId);
    return { tokens, row: { id: oauthStorage.idOf(refreshToken), grantId, payload: {}, expiresAt, accessTokenId } };
  }

  /** Caps a lifetime at the session's absolute expiry. */
  function capAtSession(session: Session, seconds: number): { expiresAt: Date; cappedSeconds: number } {
    const now = clock.now();
    const [requested, latest] = [addSeconds(now, seconds), sessions.absoluteExpiry(session)];
    if (requested < latest) return { expiresAt: requested, cappedSeconds: seconds };
    return { expiresAt: latest, cappedSeconds: epochSeconds(latest) - epochSeconds(now) };
  }

  function extendSession(session: Session): Promise<Date | undefined> {
    return sessions.extend(session, idleSeconds);
  }

  async function revokeFamily({ id, accountId }: Session, meta: RequestMeta): Promise<never> {
    await sessions.revoke(id, 'token_reuse', meta);
    await audit.record(undefined, 'refresh_token.replayed', { by: ANONYMOUS, accountId, sessionId: id, meta });
    throw invalidToken();
  }
}

const invalidToken = () => unauthorized('invalid_token', 'This token is invalid or was revoked.');
const expiredToken = () => unauthorized('expired_token', 'This token has expired. Sign in again.');
