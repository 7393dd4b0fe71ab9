/** The access rules of a route. Each adapter applies them to the requests of its framework. */
import { type AuthError, authError, IssuerUnavailable, insufficientScope, unauthorized } from './auth-error.js';
import type { AuthContext, Authenticated, RequestLike, ResolveAuth, ToolLevel } from './context.js';
import { type CsrfOptions, csrfProtect } from './csrf.js';
import { agentMay, hasScope, type RequiredPermission } from './permissions.js';

export interface Rules {
  /**
   * Scopes that an access token or an agent must have, all of them. First-party logins are not
   * limited by scopes. The holder of a key chooses its scopes. They count only if the verifier has
   * `acceptKeys`, or a `tool` to which the key has access.
   */
  scope?: string | readonly string[];
  /** A permission that an agent must have. */
  permission?: RequiredPermission;
  /** The required access level at the `tool` of the verifier. Default with a `tool`: `read`. */
  level?: ToolLevel;
  type?: 'human' | 'agent';
  /** Allows requests without a credential. Invalid credentials are still rejected. */
  optional?: boolean;
  /** For requests that are authenticated by a cookie. */
  csrf?: CsrfOptions;
}

export type AuthResult = { auth: AuthContext } | { error: AuthError };

/** @deprecated Use `AuthResult`. */
export type Admission = AuthResult;

const LEVELS: ToolLevel[] = ['read', 'write', 'admin'];

/**
 * Returns a function that authenticates a request and applies the rules. Its result is a 503 if the
 * credential cannot be verified now.
 */
export function createAdmission(resolve: ResolveAuth, rules: Rules = {}) {
  const scopes = rules.scope === undefined ? [] : [rules.scope].flat();
  const checkOrigin = csrfProtect(rules.csrf);

  return async function authorize(request: RequestLike): Promise<AuthResult> {
    try {
      const auth = await resolve(request);
      const error = auth.isAuthenticated ? checkRules(auth, request) : checkAnonymous(auth.error);
      return error ? { error } : { auth };
    } catch (error) {
      if (error instanceof IssuerUnavailable) return { error: error.authError };
      throw error;
    }
  };

  function checkAnonymous(rejected: AuthError | undefined): AuthError | undefined {
    return rejected ?? (rules.optional ? undefined : unauthorized('no_auth', 'Send a credential.'));
  }

  function checkRules(auth: Authenticated, request: RequestLike): AuthError | undefined {
    const { type, permission } = rules;
    const hasScopes = scopes.every((scope) => hasScope(scope, scopesOf(auth)));
    if (!hasScopes && !isFirstPartyLogin(auth)) return insufficientScope(scopes);
    if (permission && !(auth.type === 'agent' && agentMay(auth, permission)) && !isFirstPartyLogin(auth)) {
      return insufficientScope([`${permission.resource}:${permission.action}`]);
    }
    if (type && type !== auth.type) return authError(403, 'insufficient_role', `Only for ${type}s.`);
    if (!hasLevel(auth)) return authError(403, 'insufficient_role', 'You do not have access to this tool.');
    return auth.byCookie ? checkOrigin(request) : undefined;
  }

  function hasLevel({ level }: Authenticated): boolean {
    if (level === undefined) return rules.level === undefined; // the verifier has no `tool`
    return level !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(rules.level ?? 'read');
  }
}

const isFirstPartyLogin = ({ type, via }: Authenticated) => type === 'human' && (via === 'session' || via === 'login');

/** Returns no scopes for a credential without access to the tool. */
function scopesOf(auth: Authenticated): readonly string[] {
  if (auth.via === 'introspected' && auth.level === null) return [];
  return auth.scopes ?? (auth.type === 'agent' ? auth.permissions : []);
}
