/**
 * Which addresses programs read, from other origins too: discovery, keys, tokens and the API. Never
 * a page.
 */
const API_PATHS =
  /^\/(?:\.well-known\/|api\/|oauth\/(?:token|introspect|revoke|userinfo|par|device|ciba|jwks|clients)(?:\/|$))/;

export const isApiPath = (path: string) => API_PATHS.test(path);
