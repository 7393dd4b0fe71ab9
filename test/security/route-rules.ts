// The credentials that each route accepts. matrix.test.ts sends all kinds of credentials to all
// routes and compares the result with this table.

/** A row without methods applies to all methods. The first matching row counts. */
export type Rule =
  /** Any request. A credential makes no difference. */
  | 'public'
  /** The login cookie of the pages. */
  | 'login-cookie'
  /** Client authentication. */
  | 'client'
  /** An access token with the scope `openid`. */
  | 'openid'
  /** The client's own registration access token (RFC 7592). */
  | 'registration'
  /** A user's session: a first-party access token. */
  | 'user'
  /** A user's session, whose access token is in the Authorization header. */
  | 'user-refresh'
  /** A user's session, API key or token of a trusted external issuer. */
  | 'any-user'
  /** A user's session, or an API key within its limits. */
  | 'user-or-key'
  /** A user's session, an API key within its limits, or the agent itself. */
  | 'agent-reader'
  /** A user's session, or the agent itself. */
  | 'agent-admin'
  /** A user's session, or no credential at all. */
  | 'user-or-anonymous'
  /** The session of an instance administrator. */
  | 'admin'
  /** Any valid principal: user, agent or workload. */
  | 'any-principal';

export const TABLE: [Rule, RegExp, methods?: RegExp][] = [
  ['public', /^\/(healthz|readyz)?$/],
  ['public', /^\/\.well-known\/[\w./-]+$/],
  ['public', /^\/oauth\/jwks$/],
  ['public', /^\/(api\/openapi\.json|docs\/api)$/],
  ['public', /^\/(login(\/otp|\/with\/:provider(\/callback)?)?|register|setup|logout)$/],
  ['public', /^\/(forgot-password|reset-password|verify-email|invitations\/accept)$/],
  // Steps of an authorization have their own cookies: see cross-account.test.ts.
  ['public', /^\/oauth\/authorize(\/:uid)?$/],
  ['public', /^\/interaction\/:uid$/],
  ['public', /^\/device(\/:uid)?$/],
  ['public', /^\/oauth\/logout(\/\w+)?$/],
  ['public', /^\/oauth\/clients\/register$/],
  ['login-cookie', /^\/account(\/|$)/],
  ['client', /^\/(api\/v1\/)?oauth\/token$/],
  ['client', /^\/oauth\/(introspect|revoke|par|device|ciba)$/],
  ['openid', /^\/oauth\/userinfo$/],
  ['registration', /^\/oauth\/clients\/register\/:clientId$/],
  [
    'public',
    /^\/api\/v1\/auth\/(register|login|login-json|ainative-login|proxy-login|forgot-password|reset-password)$/,
  ],
  ['user-or-anonymous', /^\/api\/v1\/auth\/verify-email$/],
  ['user-refresh', /^\/api\/v1\/auth\/refresh$/],
  ['any-user', /^\/api\/v1\/auth\/me(\/profile)?$/, /^(GET|HEAD)$/],
  ['user', /^\/api\/v1\/auth\/(logout|me\/profile|sessions|sessions\/:id|change-password|reauth)$/],
  ['public', /^\/api\/v1\/auth\/github\/callback$/],
  ['user', /^\/api\/v1\/auth\/(github\/link|links|links\/:id(\/token)?)$/],
  ['user', /^\/api\/v1\/auth\/mfa\/(totp|totp\/confirm|recovery-codes)$/],
  ['user-or-key', /^\/api\/v1\/(organizations(\/:id(\/members)?)?|projects(\/:id)?)$/, /^(GET|HEAD)$/],
  ['user', /^\/api\/v1\/(organizations|projects)(\/:id)?(\/members\/:account_id)?$/],
  ['user', /^\/api\/v1\/(organizations\/:id\/invitations(\/:invitation_id)?|invitations\/accept)$/],
  ['public', /^\/api\/v1\/capabilities$/],
  ['user-or-anonymous', /^\/api\/v1\/agents\/onboard$/],
  ['user', /^\/api\/v1\/agents\/claim$/],
  ['user-or-key', /^\/api\/v1\/agents$/, /^(GET|HEAD)$/],
  ['agent-reader', /^\/api\/v1\/agents\/:agent_id$/, /^(GET|HEAD)$/],
  ['agent-admin', /^\/api\/v1\/agents\/:agent_id(\/rotate-key)?$/],
  ['user', /^\/api\/v1\/approvals(\/:id)?$/],
  ['user', /^\/api\/v1\/api-keys(\/:id(\/rotate)?)?$/],
  ['admin', /^\/api\/v1\/resources(\/:id)?$/],
  ['public', /^\/api\/(login|token)$/],
  ['any-principal', /^\/api\/validate$/],
  ['any-user', /^\/api\/(me|tools)$/, /^(GET|HEAD)$/],
  ['user', /^\/api\/(logout|me\/password|keys(\/:id)?)$/],
  ['admin', /^\/api\/(users(\/:id)?|tools(\/:slug)?|permissions(\/:id)?)$/],
];

/** Returns the rule for a route. OPTIONS is public at every path. */
export function ruleOf(method: string, path: string): Rule | undefined {
  const row = TABLE.find(([, pattern, methods]) => pattern.test(path) && (methods?.test(method) ?? true));
  return row && method === 'OPTIONS' ? 'public' : row?.[0];
}
