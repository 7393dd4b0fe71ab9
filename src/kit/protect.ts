/** What a route asks of whoever comes, for the adapters: one decision, whatever the framework. */
import type { AuthContext, Authenticated, RequestLike, ResolveAuth, ToolLevel } from './context.js';
import { type CsrfOptions, csrfProtect } from './csrf.js';
import { agentMay, hasScope, type RequiredPermission } from './permissions.js';
import { type AuthError, IssuerUnavailable, insufficientScope, refusal, unauthorized } from './refusal.js';

export interface Rules {
  /**
   * Scopes that an access token or an agent needs, all of them. People by their own login are not
   * limited by scopes. Those of a key, which its holder chose, count only where the verifier has a
   * `tool` at which it may do something, or `acceptKeys`.
   */
  scope?: string | readonly string[];
  /** A permission that an agent needs, of those that were granted to it. */
  permission?: RequiredPermission;
  /**
   * What is needed at the tool that the verifier was made for. With such a verifier: at least
   * `read`.
   */
  level?: ToolLevel;
  type?: 'human' | 'agent';
  /**
   * Whoever carries nothing may come as well. A credential that is refused is refused nevertheless.
   */
  optional?: boolean;
  /** For those who come by cookie. */
  csrf?: CsrfOptions;
}

export type AuthResult = { auth: AuthContext } | { refusal: AuthError };

const LEVELS: ToolLevel[] = ['read', 'write', 'admin'];

/**
 * Gives a check of requests by these rules. Where it cannot be known who comes, that is a refusal
 * with 503.
 */
export function createAdmission(resolve: ResolveAuth, rules: Rules = {}) {
  const scopes = rules.scope === undefined ? [] : [rules.scope].flat();
  const checkOrigin = csrfProtect(rules.csrf);

  return async function admit(request: RequestLike): Promise<AuthResult> {
    try {
      const auth = await resolve(request);
      const no = auth.isAuthenticated ? whyNot(auth, request) : whyNobody(auth.refusal);
      return no ? { refusal: no } : { auth };
    } catch (error) {
      if (error instanceof IssuerUnavailable) return { refusal: error.refusal };
      throw error;
    }
  };

  function whyNobody(refused: AuthError | undefined): AuthError | undefined {
    return refused ?? (rules.optional ? undefined : unauthorized('no_auth', 'Send a credential.'));
  }

  function whyNot(auth: Authenticated, request: RequestLike): AuthError | undefined {
    const { type, permission } = rules;
    const reached = scopes.every((scope) => hasScope(scope, scopesOf(auth)));
    if (!reached && !isOwnLogin(auth)) return insufficientScope(scopes);
    if (permission && !(auth.type === 'agent' && agentMay(auth, permission)) && !isOwnLogin(auth)) {
      return insufficientScope([`${permission.resource}:${permission.action}`]);
    }
    if (type && type !== auth.type) return refusal(403, 'insufficient_role', `Only for ${type}s.`);
    if (!hasLevel(auth)) return refusal(403, 'insufficient_role', 'No access to this tool.');
    return auth.byCookie ? checkOrigin(request) : undefined;
  }

  function hasLevel({ level }: Authenticated): boolean {
    if (level === undefined) return rules.level === undefined; // nobody was asked about a tool
    return level !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(rules.level ?? 'read');
  }
}

const isOwnLogin = ({ type, via }: Authenticated) => type === 'human' && (via === 'session' || via === 'login');

/** Whoever may do nothing at the tool has no scopes either. */
function scopesOf(auth: Authenticated): readonly string[] {
  if (auth.via === 'validated' && auth.level === null) return [];
  return auth.scopes ?? (auth.type === 'agent' ? auth.permissions : []);
}
