/** The paths of the OAuth and OpenID Connect endpoints. */

/** In oidc-provider's terms: its `routes` setting takes this object. */
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

/** A second path of the token endpoint, which many clients expect. */
export const TOKEN_ALIAS = '/oauth/token';
export const JWKS_ALIAS = '/.well-known/jwks.json';
export const DISCOVERY = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'] as const;
/** RFC 9728, section 3.1: with and without the path of the resource. */
export const PROTECTED_RESOURCE = [
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/api/v1',
] as const;

/** The largest request body that the endpoints accept. */
export const MAX_BODY_BYTES = 56 * 1024;
