/**
 * GitHub, on github.com or of an enterprise: plain OAuth, and an API that says who somebody is. Its
 * word on a verified primary address counts on github.com; elsewhere, whoever runs it could say
 * that any address is anybody's.
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
      // What the profile shows in public may be any address, or none.
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
