/**
 * Any OpenID provider, by its discovery document. The keeper says for which domains it may vouch.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import { type Claims, emailOf, nameOf, type Provider, pictureOf, scopeOf } from '../provider.js';

/**
 * Says whether the provider is the one that gives this address to people; it is verified there
 * already.
 */
type IsAuthority = (domain: string, claims: Claims) => boolean;

export function oidc(
  { emailDomains, moreScope, ...settings }: ProviderSettings,
  isAuthority: IsAuthority = (domain) => emailDomains.includes(domain),
): Provider {
  const scope = scopeOf('openid profile email', moreScope);
  return {
    ...settings,
    scope,
    // Without a consent that is asked for, the scope is to be ignored: what came then would end
    // with the person's login there (OpenID Connect Core, 11).
    askOffline: scope.split(' ').includes('offline_access') ? { prompt: 'consent' } : undefined,
    async readProfile({ claims, userInfo }) {
      // Some tell in the ID token who somebody is, some only when they are asked.
      const told = claims.email === undefined ? await userInfo() : claims;
      const all = { ...told, ...claims };
      // That an address is verified is said of the address beside it, and of no other.
      const email = emailOf(told.email);
      const domain = email?.split('@').at(-1) ?? '';
      return {
        subject: String(claims.sub),
        email,
        emailProven: email !== undefined && told.email_verified === true && isAuthority(domain, told),
        name: nameOf(all.name) ?? nameOf([all.given_name, all.family_name].filter(Boolean).join(' ')),
        picture: pictureOf(all.picture),
      };
    },
  };
}
