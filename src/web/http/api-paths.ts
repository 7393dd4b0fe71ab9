/**
 * Paths for programs, also from other origins: discovery, keys, tokens, the API. None is a page.
 */
const API_PATHS =
  /^\/(?:\.well-known\/|api\/|oauth\/(?:token|introspect|revoke|userinfo|par|device|ciba|jwks|clients)(?:\/|$))/;

/** Reports whether this path is for programs: it responds with JSON, never with a page. */
export const isApiPath = (path: string) => API_PATHS.test(path);
