/** An account as OpenID Connect claims (OIDC Core 5.1). */
import { epochSeconds } from '../../base/clock.js';
import type { Account } from '../../base/db/open.js';

/**
 * The claims that each scope stands for; what an account does not have is left out of the answer.
 */
export const SCOPE_CLAIMS = {
  openid: ['sub'],
  profile: ['name', 'given_name', 'family_name', 'picture', 'locale', 'zoneinfo', 'updated_at', 'plan'],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
} satisfies Record<string, string[]>;

/** All claims of an account. Which of them a client sees is decided by its scopes. */
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
