/** Names and attributes of cookies. */

/**
 * Returns the name and options of a cookie for all paths of this host. With HTTPS, the name has the
 * `__Host-` prefix, so that neither another host nor a page without TLS can set it.
 */
export function hostCookie(issuer: string, name: string) {
  const secure = issuer.startsWith('https:');
  return {
    name: secure ? `__Host-${name}` : name,
    options: { httpOnly: true, sameSite: 'lax', path: '/', secure, signed: false, overwrite: true } as const,
  };
}

/** Returns the name of a cookie that is limited to a path, which `__Host-` does not allow. */
export const pathCookieName = (issuer: string, name: string) =>
  issuer.startsWith('https:') ? `__Secure-${name}` : name;
