/** The house's cookies: what their names and attributes promise a browser. */

/**
 * A cookie of this very host, for all its paths. On https its name has the `__Host-` prefix, with
 * which no other host, and no page without TLS, can set it.
 */
export function hostCookie(issuer: string, name: string) {
  const secure = issuer.startsWith('https:');
  return {
    name: secure ? `__Host-${name}` : name,
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, signed: false, overwrite: true } as const,
  };
}

/** The name of a cookie that is confined to a path, which `__Host-` does not allow. */
export const pathCookieName = (issuer: string, name: string) =>
  issuer.startsWith('https:') ? `__Secure-${name}` : name;
