/** Maps accounts to OpenID Connect claims (OIDC Core, section 5.1). */
import { epochSeconds } from '../../base/clock.js';
import type { Account } from '../../base/db/open.js';

/** The claims of each scope. Claims without a value are omitted from responses. */
export const SCOPE_CLAIMS = {
  openid: ['sub'],
  profile: ['name', 'given_name', 'family_name', 'picture', 'locale', 'zoneinfo', 'updated_at', 'plan'],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
} satisfies Record<string, string[]>;

/** Returns all claims of an account. The scopes of a client decide which ones it gets. */
export function toClaims(account: Account): Record<string, unknown> & { sub: string } {
  return {
    sub: account.id,
    ...withoutEmpty({
      name: account.name,
      given_name: account.givenName,
      family_name: account.familyName,
      picture: account.picture,
      locale: account.language,
      zoneinfo: account.timezone,
      plan: account.plan,
      phone_number: account.phone,
      phone_number_verified: account.phone ? account.phoneVerified : null,
      address: account.address,
    }),
    updated_at: epochSeconds(account.updatedAt),
    email: account.email,
    email_verified: account.emailVerified,
  };
}

const withoutEmpty = (members: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null && value !== undefined));
