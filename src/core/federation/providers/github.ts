/**
 * GitHub, on github.com or as an enterprise server: OAuth 2.0 and an API for the user. A verified
 * primary address is authoritative on github.com only, because the administrator of another server
 * could claim any address.
 */
import { z } from 'zod';
import { ALL_DOMAINS, type ProviderSettings } from '../../../base/config/federation.js';
import { emailOf, nameOf, type Provider, pictureOf, scopeOf } from '../provider.js';

const User = z.object({
  id: z.int(),
  login: z.string(),
  name: z.string().nullish(),
  email: z.string().nullish(),
  avatar_url: z.string().nullish(),
});
const Emails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }));

/** Returns a GitHub provider. */
export function github({ emailDomains, moreScope, ...settings }: ProviderSettings): Provider {
  const api = apiOf(new URL(settings.issuer));
  return {
    ...settings,
    scope: scopeOf('read:user user:email', moreScope),
    listsByComma: true,
    endpoints: { authorization: `${settings.issuer}/authorize`, token: `${settings.issuer}/access_token` },
    secretInBody: true,
    async readProfile({ get }) {
      const user = User.parse(await get(`${api}/user`));
      // The public address of the profile is not necessarily verified.
      const emails = Emails.optional().parse(await get(`${api}/user/emails`)) ?? [];
      const primary = emails.find(({ primary }) => primary);
      return {
        subject: String(user.id),
        email: emailOf(primary?.email ?? user.email),
        emailProven: primary?.verified === true && emailDomains.includes(ALL_DOMAINS),
        name: nameOf(user.name) ?? nameOf(user.login),
        picture: pictureOf(user.avatar_url),
      };
    },
  };
}

function apiOf({ host, origin }: URL): string {
  if (host === 'github.com') return 'https://api.github.com';
  return host.endsWith('.ghe.com') ? `https://api.${host}` : `${origin}/api/v3`;
}
