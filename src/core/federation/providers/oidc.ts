/** Any OpenID provider, by its discovery document. The keeper says for which domains it may vouch. */
import type { ProviderSettings } from '../../../base/federation-config.js';
import { type Claims, emailOf, nameOf, type Provider, pictureOf } from '../provider.js';

/** Says whether the provider is the one that gives this address to people; it is verified there already. */
type IsAuthority = (domain: string, claims: Claims) => boolean;

export function oidc(
  { vouchesFor, ...settings }: ProviderSettings,
  isAuthority: IsAuthority = (domain) => vouchesFor.includes(domain),
): Provider {
  return {
    ...settings,
    scope: 'openid profile email',
    async readProfile({ claims, userInfo }) {
      // Some tell in the ID token who somebody is, some only when they are asked.
      const all = claims.email === undefined ? { ...(await userInfo()), ...claims } : claims;
      const email = emailOf(all.email);
      const domain = email?.split('@').at(-1) ?? '';
      return {
        subject: String(claims.sub),
        email,
        emailProven: email !== undefined && all.email_verified === true && isAuthority(domain, all),
        name: nameOf(all.name) ?? nameOf([all.given_name, all.family_name].filter(Boolean).join(' ')),
        picture: pictureOf(all.picture),
      };
    },
  };
}
