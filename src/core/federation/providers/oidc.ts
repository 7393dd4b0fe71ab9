/**
 * An OpenID provider with a discovery document. It is authoritative for the domains that the
 * settings list in `email_domains`.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import { type Claims, combineScopes, emailOf, nameOf, type Provider, pictureOf } from '../provider.js';

/** Reports whether the provider is authoritative for the domain of a verified address. */
type IsAuthoritative = (domain: string, claims: Claims) => boolean;

/** Returns an OpenID provider. */
export function oidc(
  { emailDomains, additionalScope, ...settings }: ProviderSettings,
  isAuthoritative: IsAuthoritative = (domain) => emailDomains.includes(domain),
): Provider {
  const scope = combineScopes('openid profile email', additionalScope);
  return {
    ...settings,
    scope,
    // Without `prompt=consent`, the provider must ignore offline_access (OpenID Connect Core,
    // section 11).
    refreshTokenParameters: scope.split(' ').includes('offline_access') ? { prompt: 'consent' } : undefined,
    async readProfile({ claims, userInfo }) {
      // Some providers return the profile in the ID token, others only at the userinfo endpoint.
      const emailSource = claims.email === undefined ? await userInfo() : claims;
      const allClaims = { ...emailSource, ...claims };
      // `email_verified` applies only to the address from the same source.
      const email = emailOf(emailSource.email);
      const domain = email?.split('@').at(-1) ?? '';
      return {
        subject: String(claims.sub),
        email,
        emailAuthoritative:
          email !== undefined && emailSource.email_verified === true && isAuthoritative(domain, emailSource),
        name: nameOf(allClaims.name) ?? nameOf([allClaims.given_name, allClaims.family_name].filter(Boolean).join(' ')),
        picture: pictureOf(allClaims.picture),
      };
    },
  };
}
