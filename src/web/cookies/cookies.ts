/** Names and attributes of cookies. */

/**
 * Returns name and options of a cookie for all paths of this host. With HTTPS its name has the
 * `__Host-` prefix, so that no other host and no page without TLS can set it.
 */
export function hostCookie(issuer: string, name: string) {
  const secure = issuer.startsWith('https:');
  return {
    name: secure ? `__Host-${name}` : name,
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, signed: false, overwrite: true } as const,
  };
}

/** Returns the name of a cookie with a path, which the `__Host-` prefix does not allow. */
export const pathCookieName = (issuer: string, name: string) =>
  issuer.startsWith('https:') ? `__Secure-${name}` : name;
