/**
 * Any OpenID provider, by its discovery document. The settings name the domains for which it is
 * authoritative.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import { type Claims, emailOf, nameOf, type Provider, pictureOf, scopeOf } from '../provider.js';

/** Reports whether the provider is authoritative for the domain of a verified address. */
type IsAuthority = (domain: string, claims: Claims) => boolean;

/** Returns an OpenID provider. */
export function oidc(
  { emailDomains, moreScope, ...settings }: ProviderSettings,
  isAuthority: IsAuthority = (domain) => emailDomains.includes(domain),
): Provider {
  const scope = scopeOf('openid profile email', moreScope);
  return {
    ...settings,
    scope,
    // Without `prompt=consent`, the provider must ignore offline_access (OpenID Connect Core,
    // section 11).
    offlineParams: scope.split(' ').includes('offline_access') ? { prompt: 'consent' } : undefined,
    async readProfile({ claims, userInfo }) {
      // Some providers return the profile in the ID token, others only at the userinfo endpoint.
      const source = claims.email === undefined ? await userInfo() : claims;
      const all = { ...source, ...claims };
      // `email_verified` is only about the address from the same source.
      const email = emailOf(source.email);
      const domain = email?.split('@').at(-1) ?? '';
      return {
        subject: String(claims.sub),
        email,
        emailProven: email !== undefined && source.email_verified === true && isAuthority(domain, source),
        name: nameOf(all.name) ?? nameOf([all.given_name, all.family_name].filter(Boolean).join(' ')),
        picture: pictureOf(all.picture),
      };
    },
  };
}
