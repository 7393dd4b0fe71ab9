/** The paths of the OAuth and OpenID Connect endpoints. */

/** The keys are those of oidc-provider's `routes` setting. */
export const ROUTES = {
  authorization: '/oauth/authorize',
  token: '/api/v1/oauth/token',
  userinfo: '/oauth/userinfo',
  jwks: '/oauth/jwks',
  registration: '/oauth/clients/register',
  introspection: '/oauth/introspect',
  revocation: '/oauth/revoke',
  pushed_authorization_request: '/oauth/par',
  device_authorization: '/oauth/device',
  code_verification: '/device',
  backchannel_authentication: '/oauth/ciba',
  end_session: '/oauth/logout',
} as const;

/** A second path of the token endpoint, because many clients expect it here. */
export const TOKEN_ALIAS_PATH = '/oauth/token';
export const JWKS_ALIAS_PATH = '/.well-known/jwks.json';
export const DISCOVERY_PATHS = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
] as const;
/** RFC 9728, section 3.1: with and without the path of the resource. */
export const PROTECTED_RESOURCE_PATHS = [
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/api/v1',
] as const;

/** The largest request body that the endpoints accept. */
export const MAX_BODY_BYTES = 56 * 1024;
