/**
 * GitHub, on github.com or on a GitHub Enterprise Server. It supports OAuth 2.0, with an API for
 * the user's profile. Only github.com is authoritative for verified primary addresses, because the
 * administrator of an Enterprise Server can assign any address to a user.
 */
import { z } from 'zod';
import { ALL_DOMAINS, type ProviderSettings } from '../../../base/config/federation.js';
import { combineScopes, emailOf, nameOf, type Provider, pictureOf } from '../provider.js';

const User = z.object({
  id: z.int(),
  login: z.string(),
  name: z.string().nullish(),
  email: z.string().nullish(),
  avatar_url: z.string().nullish(),
});
const Emails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }));

/** Returns a GitHub provider. */
export function github({ emailDomains, additionalScope, ...settings }: ProviderSettings): Provider {
  const apiUrl = apiUrlOf(new URL(settings.issuer));
  return {
    ...settings,
    scope: combineScopes('read:user user:email', additionalScope),
    commaSeparatedScopes: true,
    oauthEndpoints: { authorization: `${settings.issuer}/authorize`, token: `${settings.issuer}/access_token` },
    secretInBody: true,
    async readProfile({ callApi }) {
      const user = User.parse(await callApi(`${apiUrl}/user`));
      // The address in the public profile is not necessarily verified.
      const emails = Emails.optional().parse(await callApi(`${apiUrl}/user/emails`)) ?? [];
      const primary = emails.find(({ primary }) => primary);
      return {
        subject: String(user.id),
        email: emailOf(primary?.email ?? user.email),
        emailAuthoritative: primary?.verified === true && emailDomains.includes(ALL_DOMAINS),
        name: nameOf(user.name) ?? nameOf(user.login),
        picture: pictureOf(user.avatar_url),
      };
    },
  };
}

function apiUrlOf({ host, origin }: URL): string {
  if (host === 'github.com') return 'https://api.github.com';
  return host.endsWith('.ghe.com') ? `https://api.${host}` : `${origin}/api/v3`;
}
