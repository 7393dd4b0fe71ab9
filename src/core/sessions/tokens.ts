/**
 * The tokens of a login that lives without a page: a short-lived access token (a JWT) and a refresh
 * token (opaque, 256 bits, stored by its hash, single use, rotated).
 *
 * Such a login is one token family, and a token family is what core/oauth-storage keeps for OAuth
 * clients already: a grant, here one of a client that nobody can register. So these promises hold
 * for both because one piece of code makes them:
 * - *Retry and theft.* An answer that got lost may be asked for again with the same token for a
 *   short while; the unused successor is replaced, so one living branch remains, and the access
 *   tokens of the replaced answer die. A token whose successor was used, or whose time to retry is
 *   over, is in two hands: the login ends. To revoke at every repetition instead would sign people
 *   out for each lost answer; to hand out the same successor again would leave a thief's copy alive
 *   beside the honest one, unseen.
 * - *A revocation that races with a refresh* leaves nothing alive: rotation locks the grant,
 *   which ending the login deletes, so the successor is either not stored or deleted with it. Its
 *   access token names the login, and a login that has ended is refused.
 * - *Spent tokens are swept* after a day, so that a login which is refreshed all day does not
 *   grow for ever; see housekeeping.
 */

import { AppError, unauthorized } from '../../base/app-error.js';
import { addSeconds, type Clock, epochSeconds } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { Queryable } from '../../base/db/open.js';
import type { Account } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { JwtKind, Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession, Session, Sessions } from './sessions.js';

/**
 * The `client_id` of first-party tokens. Clients that register get ids that are made here, never
 * this one.
 */
const FIRST_PARTY_CLIENT = 'signet';
const TYP = 'session+jwt';
const ANSWER_BYTES = 16;

/** What one answer hands out. */
export interface LoginTokens {
  /**
   * What all access tokens of one answer have in common; they die together when the answer is
   * replaced.
   */
  answerId: string;
  accessToken: string;
  /** Until the access token expires. */
  accessSeconds: number;
  refreshToken: string;
  refreshSeconds: number;
}

export interface SessionWithTokens extends AuthenticatedSession {
  tokens: LoginTokens;
}

/** A login that was just opened, with its only token. */
export interface SessionWithAccessToken extends AuthenticatedSession {
  accessToken: string;
  /** Until it expires. */
  seconds: number;
}

/** An access token that stands for a living login. */
export interface AccessTokenUse {
  login: AuthenticatedSession;
  answerId: string;
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
  /** Unused for so long, a login ends: both its tokens have expired by then. */
  const livesSeconds = Math.max(refreshSeconds, accessSeconds);
  const kind: JwtKind = { typ: TYP, audience: `${issuer}/api/v1` };

  return { open, openForOne, refresh, extendAccess, signAccess, inspect, verify };

  /**
   * Opens a login with its first tokens, within the transaction of the verb that lets somebody in.
   */
  async function open(account: Account, amr: string[], meta: RequestMeta, tx: Queryable): Promise<SessionWithTokens> {
    const session = await sessions.openForTokens(account, amr, livesSeconds, meta, tx);
    const grant = { id: randomToken(), accountId: account.id, clientId: FIRST_PARTY_CLIENT, sessionId: session.id };
    await grants.open(
      { ...grant, offline: false, consented: false, payload: {}, expiresAt: sessions.absoluteExpiry(session) },
      tx,
    );
    const login = { session, account, amr };
    const { tokens, row } = await issue(login, grant.id);
    await refreshTokens.save(row, tx);
    return { ...login, tokens };
  }

  /**
   * Opens a login that lives by one access token, for so many seconds: there is no refresh token.
   */
  async function openForOne(
    account: Account,
    amr: string[],
    givenSeconds: number,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<SessionWithAccessToken> {
    const session = await sessions.openForTokens(account, amr, givenSeconds, meta, tx);
    const login = { session, account, amr };
    return { ...login, ...(await signAccess(login, randomToken(ANSWER_BYTES), givenSeconds)) };
  }

  /**
   * Spends a refresh token. Refuses with `invalid_token`, or `expired_token` when its time is over.
   * A token that was spent before, and not as a retry, ends the login.
   */
  async function refresh(refreshToken: string, meta: RequestMeta): Promise<SessionWithTokens> {
    const id = oauthStorage.idOf(refreshToken);
    const { stored, login } = await find(id);
    if (stored.state === 'spent') return revokeFamily(login.session, meta);
    const { tokens, row } = await issue(login, stored.grantId);
    const outcome = await refreshTokens.rotate(id, row, undefined);
    if (outcome === 'spent') return revokeFamily(login.session, meta);
    if (outcome === 'gone' || !(await extend(login.session))) throw refused();
    if (stored.state === 'retryable') await sessions.changed(login.session.id); // the access tokens of the lost answer died
    return { ...login, tokens };
  }

  /**
   * A new access token for a login that is alive, in the place of one that has not expired. The
   * refresh token stays as it is.
   */
  async function extendAccess({ login, answerId }: AccessTokenUse): Promise<{ accessToken: string; seconds: number }> {
    const expiresAt = await extend(login.session);
    if (!expiresAt) throw refused();
    return signAccess({ ...login, session: { ...login.session, expiresAt } }, answerId, accessSeconds);
  }

  /** An access token for at most so many seconds, and no longer than the login can live. */
  async function signAccess({ session, account, amr }: AuthenticatedSession, answerId: string, seconds: number) {
    const { expiresAt, lasts } = capAtSession(session, seconds);
    const claims = {
      sub: account.id,
      client_id: FIRST_PARTY_CLIENT,
      jti: `${answerId}.${randomToken(ANSWER_BYTES)}`,
      sid: session.id,
      auth_time: epochSeconds(session.authTime),
      amr,
      email: account.email,
      role: account.role,
    };
    const accessToken = await jwts.sign(kind, claims, expiresAt);
    return { accessToken, seconds: lasts };
  }

  /** The living login behind a refresh token, which is not spent by this. */
  async function inspect(refreshToken: string): Promise<AuthenticatedSession | undefined> {
    try {
      const { stored, login } = await find(oauthStorage.idOf(refreshToken));
      return stored.state === 'spent' ? undefined : login;
    } catch (error) {
      if (error instanceof AppError) return undefined;
      throw error;
    }
  }

  /**
   * What an access token stands for at this moment; every use asks the stores whether it still
   * does.
   */
  async function verify(token: string): Promise<AccessTokenUse | 'expired' | undefined> {
    const verified = await jwts.verify(token, kind);
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const { sub, sid, jti, exp } = verified.claims as { sub: string; sid: string; jti: string; exp: number };
    const answerId = jti.slice(0, jti.indexOf('.'));
    const [login, replaced] = await Promise.all([sessions.find(sid), oauthStorage.isJwtRevoked(answerId)]);
    if (!login || login.account.id !== sub || replaced) return undefined;
    return { login, answerId, expiresAt: new Date(exp * 1000) };
  }

  async function find(id: string) {
    const stored = await refreshTokens.find(id);
    if (!stored) throw (await refreshTokens.hasExpired(id)) ? expired() : refused();
    const grant = await grants.find(stored.grantId);
    const login = grant?.clientId === FIRST_PARTY_CLIENT && grant.sessionId && (await sessions.find(grant.sessionId));
    if (!login) throw refused();
    return { stored, login };
  }

  async function issue(login: AuthenticatedSession, grantId: string) {
    const answerId = randomToken(ANSWER_BYTES);
    const refreshToken = randomToken();
    const { accessToken, seconds } = await signAccess(login, answerId, accessSeconds);
    const { expiresAt, lasts: refreshLasts } = capAtSession(login.session, refreshSeconds);
    const tokens: LoginTokens = {
      answerId,
      accessToken,
      accessSeconds: seconds,
      refreshToken,
      refreshSeconds: refreshLasts,
    };
    const accessTokenId = oauthStorage.idOf(answerId);
    return { tokens, row: { id: oauthStorage.idOf(refreshToken), grantId, payload: {}, expiresAt, accessTokenId } };
  }

  /**
   * When it ends that lasts so many seconds from now and no longer than its login can live, and how
   * many those are.
   */
  function capAtSession(session: Session, seconds: number): { expiresAt: Date; lasts: number } {
    const now = clock.now();
    const [wanted, latest] = [addSeconds(now, seconds), sessions.absoluteExpiry(session)];
    if (wanted < latest) return { expiresAt: wanted, lasts: seconds };
    return { expiresAt: latest, lasts: epochSeconds(latest) - epochSeconds(now) };
  }

  function extend(session: Session): Promise<Date | undefined> {
    return sessions.extend(session, livesSeconds);
  }

  async function revokeFamily({ id, accountId }: Session, meta: RequestMeta): Promise<never> {
    await sessions.revoke(id, 'theft', meta);
    const actor = { kind: 'anonymous' as const };
    await audit.record({ action: 'refresh_token.replayed', actor, accountId, sessionId: id, meta });
    throw refused();
  }
}

const refused = () => unauthorized('invalid_token', 'This token is not valid, or no longer.');
const expired = () => unauthorized('expired_token', 'This token has expired. Please sign in again.');
