/** Paths that programs use, also from other origins: discovery, keys, tokens, the API. No pages. */
const API_PATHS =
  /^\/(?:\.well-known\/|api\/|oauth\/(?:token|introspect|revoke|userinfo|par|device|ciba|jwks|clients)(?:\/|$))/;

/** Reports whether responses for this path are for programs: JSON, never a page. */
export const isApiPath = (path: string) => API_PATHS.test(path);
