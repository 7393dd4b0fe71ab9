/**
 * Checks what Signet hands out, in a service of somebody else. Access tokens are checked here, by
 * Signet's published keys: fast, also while Signet is away, and **blind to a revocation until the
 * token expires**. API keys and opaque tokens are asked about at `/api/validate`, and with `online`
 * or `tool` every token is, after it was checked here: then a revocation counts within `cacheFor`.
 *
 * A key is not made for this service, and whoever makes one chooses its scopes or capabilities: it
 * is taken only where Signet says what it may (`tool`), or where the service says so
 * (`acceptKeys`). An agent that nobody answers for is a stranger, whatever it carries.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { type AuthError, unauthorized } from './auth-error.js';
import { isCompactJws, jsonObject } from './bytes.js';
import { type AuthContext, type Authenticated, anonymous, type RequestLike } from './context.js';
import { withoutQuery } from './dpop.js';
import { parseDurationOrThrow } from './duration.js';
import { publicUrl, readAuthorization } from './headers.js';
import { createJsonReader, type IssuerOptions, readKeySet, secureUrl } from './issuer.js';
import { createIssuerKeys } from './issuer-keys.js';
import { type DpopOptions, dpopRequired, verifyDpop } from './possession.js';
import { createMemoryReplayStore } from './replay-store.js';
import { createValidation, type ForwardedProof, type ValidAnswer } from './validation.js';

export interface RemoteVerifierOptions extends IssuerOptions {
  /**
   * This service, as it is registered at Signet: the resource (`aud`) of the access tokens that it
   * takes.
   */
  audience: string | string[];
  /**
   * Also take the access tokens of first-party logins (`session+jwt`), which are made for Signet's
   * own API. For your own apps only.
   */
  acceptLogins?: boolean;
  /**
   * Also take API keys and the keys of agents without asking what they may here. **Their scopes and
   * capabilities then count as `scope` and `permission`, though whoever made the key chose them**:
   * for services where everybody with a key may do all that the rules ask for.
   */
  acceptKeys?: boolean;
  /**
   * Also take agents that onboarded themselves and that no person answers for. Anybody can have
   * one.
   */
  acceptUnclaimedAgents?: boolean;
  /** Ask Signet about every token, not only about those that cannot be checked here. */
  online?: boolean;
  /**
   * Ask what the credential may at this tool as well (its slug). Implies `online`. Keys are taken
   * then, by that level; where it is none, their scopes and capabilities are left out.
   */
  tool?: string;
  /**
   * The origin that the world knows this service by, for DPoP proofs. Else that of the request's
   * URL.
   */
  origin?: string;
  /**
   * Proofs for tokens that are bound to a key. Give `replays` where there are several processes.
   */
  dpop?: Partial<Pick<DpopOptions, 'replays' | 'nonces' | 'maxAgeSeconds'>>;
  /**
   * Keys of Signet: how old before they are read again (5m), and how long they serve while Signet
   * cannot be reached (24h).
   */
  keys?: { refreshAfter?: string; keepFor?: string };
  /**
   * Answers of `/api/validate`: how long a yes and a no are remembered (1s each; 0s for never), and
   * how many of them (1000).
   */
  validation?: { cacheFor?: string; refusalsFor?: string; maxEntries?: number };
}

export interface RemoteVerifier {
  /**
   * Who is behind a request, by its `Authorization` or `X-API-Key`. A credential that is refused
   * makes an anonymous whose `refusal` says what to answer. Rejects with IssuerUnavailable when it
   * cannot be known now: answer 503.
   */
  resolve(request: RequestLike): Promise<AuthContext>;
  /**
   * The same for a bearer credential that came another way, in a cookie for example. Tokens that
   * are bound to a key are refused.
   */
  verify(credential: string): Promise<AuthContext>;
}

type Checked = { claims: JWTPayload; login: boolean } | AuthError;

const ALGORITHM = 'ES256'; // what Signet signs access tokens with, whatever the token says
const TYP = { access: 'at+jwt', login: 'session+jwt' };
const CREDENTIAL = /^[\w.~+/-]{1,8192}=*$/;

export function createRemoteVerifier(options: RemoteVerifierOptions): RemoteVerifier {
  const issuer = secureUrl(options.issuer);
  const { acceptLogins = false, acceptKeys = false, acceptUnclaimedAgents = false } = options;
  const { tool, online = tool !== undefined, origin, fetch: request = fetch, now = Date.now } = options;
  if (options.audience.length === 0) throw new TypeError('The verifier needs an audience');
  const read = () => readKeySet(issuer, createJsonReader(request));
  const findKey = createIssuerKeys({ issuer, read, now, ...settleKeys(options.keys) });
  const validate = createValidation({ issuer, fetch: request, now, tool, ...settleValidation(options.validation) });
  const proofs: DpopOptions = { replays: createMemoryReplayStore({ now }), now, ...options.dpop };

  return { resolve, verify: (credential) => judge(credential) };

  async function resolve(request: RequestLike): Promise<AuthContext> {
    const { headers } = request;
    const [authorization, key] = [readAuthorization(headers.get('authorization')), headers.get('x-api-key')];
    if (authorization === undefined && !key) return anonymous();
    if (authorization === null) return refused('Send "Authorization: Bearer <token>".');
    if (authorization && key && authorization.value !== key) return refused('Two credentials disagree.');
    const credential = authorization?.value ?? key!;
    return judge(credential, authorization?.scheme === 'dpop' ? request : undefined);
  }

  async function judge(credential: string, proving?: RequestLike): Promise<AuthContext> {
    if (typeof credential !== 'string' || !CREDENTIAL.test(credential)) return refused();
    // Neither keys nor opaque tokens have dots. A token that is spelt in another way than it was
    // signed is not passed on as one of them.
    if (!credential.includes('.')) return ask(credential, proving);
    const checked = isCompactJws(credential) ? await checkToken(credential) : invalid();
    if ('status' in checked) return anonymous(checked);
    const { claims, login } = checked;
    if (isStranger(claims)) return refused(UNCLAIMED);
    const boundTo = thumbprintOf(claims.cnf);
    if (claims.cnf !== undefined && boundTo === undefined) return refused(BOUND_OTHERWISE);
    if (claims.cnf !== undefined && !proving) {
      return refused('This token is bound to a key: send it as "Authorization: DPoP" with its proof.');
    }
    if (claims.cnf === undefined && proving) return refused('This token is bound to no key: send it as Bearer.');
    const known = login ? toLogin(claims) : toContext(claims);
    const proven = proving ? await prove(credential, known, proving, boundTo!) : known;
    return online && proven.isAuthenticated ? ask(credential, proving, proven) : proven;
  }

  /** Signet's own judgement. What was read from the token already is kept. */
  async function ask(credential: string, proving?: RequestLike, known?: Authenticated): Promise<AuthContext> {
    const proof = proving && forwarded(proving);
    if (proof === null) return refused('The proof is missing.');
    const answer = await validate(credential, proof);
    if (answer === 'invalid') return refused();
    if (answer === 'expired') return anonymous(expired());
    if (isStranger(answer.principal)) return refused(UNCLAIMED);
    const level = answer.permission ?? null;
    if (tool !== undefined) return { ...(known ?? toIntrospected(answer, acceptKeys || level !== null)), level };
    if (!known && isKey(answer) && !acceptKeys) return refused('Keys are not taken here: send an access token.');
    return known ?? toIntrospected(answer, true);
  }

  /** An agent that onboarded itself, and that no person has claimed. */
  function isStranger(claims: Record<string, unknown> | undefined): boolean {
    return claims?.claimed === false && !acceptUnclaimedAgents;
  }

  function forwarded({ method, url, headers }: RequestLike): ForwardedProof | null {
    const proof = headers.get('dpop');
    return proof ? { proof, htm: method, htu: withoutQuery(publicUrl(url, origin)) ?? url } : null;
  }

  async function checkToken(token: string): Promise<Checked> {
    const login = acceptLogins && typOf(token) === TYP.login;
    try {
      const { payload } = await jwtVerify(token, findKey, {
        issuer,
        audience: login ? `${issuer}/api/v1` : options.audience,
        typ: login ? TYP.login : TYP.access,
        algorithms: [ALGORITHM],
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id'],
      });
      return { claims: payload, login };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return expired();
      if (error instanceof errors.JOSEError) return invalid();
      throw error;
    }
  }

  async function prove(
    credential: string,
    known: Authenticated,
    { method, url, headers }: RequestLike,
    boundTo: string,
  ): Promise<AuthContext> {
    const request = { method, url: publicUrl(url, origin), accessToken: credential, boundTo };
    const proof = await verifyDpop(headers.get('dpop') ?? '', request, proofs);
    return proof.ok ? { ...known, jkt: proof.jkt } : anonymous(dpopRequired(proof, proofs.nonces));
  }
}

/** Before anything is verified: it only decides as what the token is then checked. */
const typOf = (token: string) => jsonObject(token.split('.')[0]!)?.typ;

const invalid = (why = 'This token is not valid, or no longer.') => unauthorized('invalid_token', why);
const expired = () => unauthorized('expired_token', 'This token has expired.');
const refused = (why?: string) => anonymous(invalid(why));

const UNCLAIMED = 'No person answers for this agent.';
const BOUND_OTHERWISE =
  'This token is bound to a client certificate, or to what is not checked here: send one that is not.';

/**
 * Undefined as well where something else has to be proved with it: what is not checked here is not
 * taken.
 */
function thumbprintOf(confirmation: unknown): string | undefined {
  const { jkt, ...more } = (confirmation ?? {}) as { jkt?: unknown };
  return typeof jkt === 'string' && Object.keys(more).length === 0 ? jkt : undefined;
}

function toLogin(claims: JWTPayload): Authenticated {
  const { sub, email, role, exp } = claims as { sub: string; email?: string; role?: string; exp: number };
  const expiresAt = new Date(exp * 1000);
  return { type: 'human', isAuthenticated: true, via: 'login', userId: sub, email, role, expiresAt, claims };
}

/**
 * RFC 9068. A client with a token for itself is an agent; so is whoever acts for a person (RFC
 * 8693, 4.1).
 */
function toContext(claims: JWTPayload): Authenticated {
  const { sub, client_id: clientId, scope = '', exp } = claims as unknown as AccessTokenClaims;
  const scopes = typeof scope === 'string' && scope ? scope.split(' ') : [];
  const proven = {
    isAuthenticated: true,
    via: 'access-token',
    scopes,
    clientId,
    expiresAt: new Date(exp * 1000),
    claims,
  } as const;
  const agent = { ...proven, type: 'agent', permissions: scopes } as const;
  const actor = (claims.act as { sub?: unknown } | undefined)?.sub;
  if (typeof actor === 'string') return { ...agent, agentId: actor, onBehalfOf: sub };
  if (sub === clientId) return { ...agent, agentId: sub };
  return { ...proven, type: 'human', userId: sub };
}

interface AccessTokenClaims {
  sub: string;
  client_id: string;
  scope?: string;
  exp: number;
}

/**
 * What its holder chose the scopes or capabilities of. Apps have theirs from Signet; a login has
 * none, and no principal.
 */
const isKey = ({ principal }: ValidAnswer) => principal !== undefined && principal.type !== 'client';

/** A key acts for its owner; an app for a person or, where it is the user itself, for nobody. */
function toIntrospected(answer: ValidAnswer, keysCount: boolean): Authenticated {
  const { user, principal } = answer;
  const { type, client_id: clientId } = principal ?? {};
  const scopes = isKey(answer) && !keysCount ? [] : principal?.scopes;
  const proven = { isAuthenticated: true, via: 'introspected', scopes, clientId, claims: principal } as const;
  if (type === 'agent' || (type === 'client' && user.id === clientId)) {
    const agentId = principal?.id ?? user.id; // `agent_id` is unique in its organization only
    const agentName = principal?.name ?? user.name ?? undefined;
    return { ...proven, type: 'agent', agentId, agentName, permissions: scopes ?? [] };
  }
  const { id: userId, name, email, role } = user;
  return { ...proven, type: 'human', userId, name: name ?? undefined, email: email ?? undefined, role };
}

function settleKeys({ refreshAfter = '5m', keepFor = '24h' }: RemoteVerifierOptions['keys'] = {}) {
  return {
    refreshAfterSeconds: parseDurationOrThrow('keys.refreshAfter', refreshAfter),
    keepForSeconds: parseDurationOrThrow('keys.keepFor', keepFor),
  };
}

function settleValidation(options: RemoteVerifierOptions['validation'] = {}) {
  const { cacheFor = '1s', refusalsFor = '1s', maxEntries = 1000 } = options;
  return {
    cacheSeconds: parseDurationOrThrow('validation.cacheFor', cacheFor, { zero: true }),
    refusalSeconds: parseDurationOrThrow('validation.refusalsFor', refusalsFor, { zero: true }),
    maxEntries,
  };
}
