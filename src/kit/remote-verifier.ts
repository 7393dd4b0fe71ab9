/**
 * Verifies, in another service, the credentials that Signet issues. Access tokens are verified
 * locally with Signet's public keys. This is fast and works while Signet is down, but it **accepts
 * a revoked token until it expires**. API keys and opaque tokens are verified at
 * `/api/validate`. With `online` or `tool`, every token is verified there as well, after the local
 * check. A revocation then takes effect within `cacheFor`.
 *
 * API keys and agent keys are not issued for one service, and their creator chooses their scopes or
 * capabilities. They are accepted only if Signet decides what they can do (`tool`), or with
 * `acceptKeys`. Unclaimed agents are rejected by default, whatever their credential.
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
import { isKey, toAccessTokenContext, toIntrospectedContext, toLoginContext } from './remote-context.js';
import { createMemoryReplayStore } from './replay-store.js';
import { createValidation, type ForwardedProof } from './validation.js';

export interface RemoteVerifierOptions extends IssuerOptions {
  /**
   * This service, as registered at Signet: the resource (`aud`) of the access tokens it accepts.
   */
  audience: string | string[];
  /**
   * Also accepts access tokens of first-party logins (`session+jwt`), which are issued for Signet's
   * own API. Only for your own apps.
   */
  acceptLogins?: boolean;
  /**
   * Also accepts API keys and agent keys without asking Signet what they can do here. **Their
   * scopes and capabilities then satisfy `scope` and `permission`, although their creator chose
   * them.** For services in which every key holder has the same access.
   */
  acceptKeys?: boolean;
  /** Also accepts self-onboarded agents that no user has claimed. Anyone can create one. */
  acceptUnclaimedAgents?: boolean;
  /** Verifies every token at Signet, not only those that cannot be verified locally. */
  online?: boolean;
  /**
   * The slug of a tool at Signet. Signet also returns each credential's access level for that tool.
   * Implies `online`. Keys are accepted with that level; without one, their scopes do not count.
   */
  tool?: string;
  /** The public origin of this service, for DPoP proofs. Default: that of the request URL. */
  origin?: string;
  /** For tokens that are bound to a key. Set `replays` if the service runs as several processes. */
  dpop?: Partial<Pick<DpopOptions, 'replays' | 'nonces' | 'maxAgeSeconds'>>;
  /**
   * When Signet's keys are fetched again (default: after 5m), and how long they are used while
   * Signet cannot be reached (24h).
   */
  keys?: { refreshAfter?: string; keepFor?: string };
  /**
   * How long a response of `/api/validate` is cached if the credential is valid (`cacheFor`) and if
   * it is not (`rejectionsFor`). Default: 1s; 0s: never. `maxEntries`: 1000 by default.
   */
  validation?: { cacheFor?: string; rejectionsFor?: string; maxEntries?: number };
}

export interface RemoteVerifier {
  /**
   * Authenticates a request by its `Authorization` or `X-API-Key` header. For an invalid credential
   * the result is anonymous, with the response to send in `error`. Rejects with
   * `IssuerUnavailable` if the credential cannot be verified now: send a 503.
   */
  resolve(request: RequestLike): Promise<AuthContext>;
  /**
   * Verifies a bearer credential from another source, such as a cookie. Returns an anonymous
   * context for tokens that are bound to a key, because no proof is available.
   */
  verify(credential: string): Promise<AuthContext>;
}

type LocalResult = { claims: JWTPayload; isLogin: boolean } | AuthError;

/** The algorithm of Signet's access tokens. The header of a token does not choose it. */
const ALGORITHM = 'ES256';
const TYP = { access: 'at+jwt', login: 'session+jwt' };
const CREDENTIAL = /^[\w.~+/-]{1,8192}=*$/;

/** Creates a verifier. Throws a TypeError for invalid options. */
export function createRemoteVerifier(options: RemoteVerifierOptions): RemoteVerifier {
  const issuer = secureUrl(options.issuer);
  const { acceptLogins = false, acceptKeys = false, acceptUnclaimedAgents = false } = options;
  const { tool, online = tool !== undefined, origin, fetch: request = fetch, now = Date.now } = options;
  if (options.audience.length === 0) throw new TypeError('The verifier needs an audience');
  const read = () => readKeySet(issuer, createJsonReader(request));
  const findKey = createIssuerKeys({ issuer, read, now, ...parseKeyOptions(options.keys) });
  const validate = createValidation({ issuer, fetch: request, now, tool, ...parseCacheOptions(options.validation) });
  const dpopOptions: DpopOptions = { replays: createMemoryReplayStore({ now }), now, ...options.dpop };

  return { resolve, verify: (credential) => authenticate(credential) };

  async function resolve(request: RequestLike): Promise<AuthContext> {
    const { headers } = request;
    const [authorization, apiKey] = [readAuthorization(headers.get('authorization')), headers.get('x-api-key')];
    if (authorization === undefined && !apiKey) return anonymous();
    if (authorization === null) return rejected('Send "Authorization: Bearer <token>".');
    if (authorization && apiKey && authorization.value !== apiKey) {
      return rejected('The request contains two different credentials.');
    }
    const credential = authorization?.value ?? apiKey!;
    return authenticate(credential, authorization?.scheme === 'dpop' ? request : undefined);
  }

  /** `dpopRequest`: the request, if the credential was sent with the DPoP scheme. */
  async function authenticate(credential: string, dpopRequest?: RequestLike): Promise<AuthContext> {
    if (typeof credential !== 'string' || !CREDENTIAL.test(credential)) return rejected();
    // Keys and opaque tokens contain no dots. A malformed JWT is not forwarded as one of them.
    if (!credential.includes('.')) return validateAtSignet(credential, dpopRequest);
    const result = isCompactJws(credential) ? await verifyLocally(credential) : invalidToken();
    if ('status' in result) return anonymous(result);
    const { claims, isLogin } = result;
    if (isUnacceptedAgent(claims)) return rejected(UNCLAIMED);
    const boundTo = thumbprintOf(claims.cnf);
    if (claims.cnf !== undefined && boundTo === undefined) return rejected(UNSUPPORTED_BINDING);
    if (claims.cnf !== undefined && !dpopRequest) {
      return rejected('This token is bound to a key: send it as "Authorization: DPoP" with a proof.');
    }
    if (claims.cnf === undefined && dpopRequest) {
      return rejected('This token is not bound to a key: send it as "Authorization: Bearer".');
    }
    const context = isLogin ? toLoginContext(claims) : toAccessTokenContext(claims);
    const auth = dpopRequest ? await checkProof(credential, context, dpopRequest, boundTo!) : context;
    return online && auth.isAuthenticated ? validateAtSignet(credential, dpopRequest, auth) : auth;
  }

  /** Verifies a credential at Signet. Returns `local`, if set, instead of a new context. */
  async function validateAtSignet(
    credential: string,
    dpopRequest?: RequestLike,
    local?: Authenticated,
  ): Promise<AuthContext> {
    const proof = dpopRequest && forwardedProof(dpopRequest);
    if (proof === null) return rejected('The DPoP proof is missing.');
    const response = await validate(credential, proof);
    if (response === 'invalid') return rejected();
    if (response === 'expired') return anonymous(expiredToken());
    if (isUnacceptedAgent(response.principal)) return rejected(UNCLAIMED);
    const level = response.permission ?? null;
    if (tool !== undefined)
      return { ...(local ?? toIntrospectedContext(response, acceptKeys || level !== null)), level };
    if (!local && isKey(response) && !acceptKeys) {
      return rejected('This service does not accept keys: send an access token.');
    }
    return local ?? toIntrospectedContext(response, true);
  }

  function isUnacceptedAgent(claims: Record<string, unknown> | undefined): boolean {
    return claims?.claimed === false && !acceptUnclaimedAgents;
  }

  function forwardedProof({ method, url, headers }: RequestLike): ForwardedProof | null {
    const proof = headers.get('dpop');
    return proof ? { proof, htm: method, htu: withoutQuery(publicUrl(url, origin)) ?? url } : null;
  }

  async function verifyLocally(token: string): Promise<LocalResult> {
    const isLogin = acceptLogins && unverifiedTyp(token) === TYP.login;
    try {
      const { payload } = await jwtVerify(token, findKey, {
        issuer,
        audience: isLogin ? `${issuer}/api/v1` : options.audience,
        typ: isLogin ? TYP.login : TYP.access,
        algorithms: [ALGORITHM],
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id'],
      });
      return { claims: payload, isLogin };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return expiredToken();
      if (error instanceof errors.JOSEError) return invalidToken();
      throw error;
    }
  }

  async function checkProof(
    credential: string,
    context: Authenticated,
    { method, url, headers }: RequestLike,
    boundTo: string,
  ): Promise<AuthContext> {
    const request = { method, url: publicUrl(url, origin), accessToken: credential, boundTo };
    const proof = await verifyDpop(headers.get('dpop') ?? '', request, dpopOptions);
    return proof.ok ? { ...context, jkt: proof.jkt } : anonymous(dpopRequired(proof, dpopOptions.nonces));
  }
}

/** Returns the `typ` of a token before verification. It only selects the verification rules. */
const unverifiedTyp = (token: string) => jsonObject(token.split('.')[0]!)?.typ;

const UNCLAIMED = 'No user has claimed this agent.';
const UNSUPPORTED_BINDING =
  'This token is bound to a client certificate or in another way that this service cannot verify.';

const invalidToken = (description = 'This token is invalid or was revoked.') =>
  unauthorized('invalid_token', description);
const expiredToken = () => unauthorized('expired_token', 'This token has expired.');
const rejected = (description?: string) => anonymous(invalidToken(description));

/** Returns the key thumbprint in `cnf`. Undefined if `cnf` contains any other binding. */
function thumbprintOf(confirmation: unknown): string | undefined {
  const { jkt, ...others } = (confirmation ?? {}) as { jkt?: unknown };
  return typeof jkt === 'string' && Object.keys(others).length === 0 ? jkt : undefined;
}

function parseKeyOptions({ refreshAfter = '5m', keepFor = '24h' }: RemoteVerifierOptions['keys'] = {}) {
  return {
    refreshAfterSeconds: parseDurationOrThrow('keys.refreshAfter', refreshAfter),
    keepForSeconds: parseDurationOrThrow('keys.keepFor', keepFor),
  };
}

function parseCacheOptions(options: RemoteVerifierOptions['validation'] = {}) {
  const { cacheFor = '1s', rejectionsFor = '1s', maxEntries = 1000 } = options;
  return {
    cacheSeconds: parseDurationOrThrow('validation.cacheFor', cacheFor, { zero: true }),
    rejectionSeconds: parseDurationOrThrow('validation.rejectionsFor', rejectionsFor, { zero: true }),
    maxEntries,
  };
}
