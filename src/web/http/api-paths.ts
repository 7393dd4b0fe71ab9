/** Which addresses programs read, from other origins too: discovery, keys, tokens and the API. Never a page. */
const FOR_PROGRAMS =
  /^\/(?:\.well-known\/|api\/|oauth\/(?:token|introspect|revoke|userinfo|par|device|ciba|jwks|clients)(?:\/|$))/;

export const isForPrograms = (path: string) => FOR_PROGRAMS.test(path);
