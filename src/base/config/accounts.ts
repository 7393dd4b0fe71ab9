/** Settings of accounts: sign-up, the first administrator, and the rules for passwords. */

import { DAY_SECONDS } from '../clock.js';
import { defineTopic } from './base-config.js';
import { duration, integer, oneOf, optional, secret, string } from './setting.js';
import { EXPIRED_SESSION_TTL_SECONDS } from './tokens.js';

const MIN_HASH_COST = 10;

export const accounts = defineTopic({
  title: 'Accounts and passwords',
  settings: {
    signup: oneOf(
      'SIGNUP',
      ['open', 'closed'],
      'open',
      'Whether users can create accounts themselves. open: any visitor can have an account.',
    ),
    bootstrapEmail: optional(
      'BOOTSTRAP_ADMIN_EMAIL',
      'E-mail address of the first administrator, created at start if no administrator exists. Requires BOOTSTRAP_ADMIN_PASSWORD.',
    ),
    bootstrapPassword: secret('BOOTSTRAP_ADMIN_PASSWORD', 'Password of the first administrator.'),
    unverifiedAccountSeconds: duration(
      'UNVERIFIED_ACCOUNT_TTL',
      '30d',
      'Time without a sign-in after which an account is deleted whose user signed up, was sent a link, and never verified the e-mail address. At most 90d. 0s: never.',
      { zero: true },
    ),
    passwordHashCost: integer('PASSWORD_HASH_COST', [4, 15], 12, 'bcrypt cost. Below 10 only in tests.'),
    maxWaitingPasswords: integer(
      'MAX_WAITING_PASSWORDS',
      [1, 10_000],
      100,
      'Passwords that wait in one process to be hashed. Further sign-ins get 503. Networks take turns.',
    ),
    maxWaitingPasswordsPerNetwork: integer(
      'MAX_WAITING_PASSWORDS_PER_NETWORK',
      [1, 10_000],
      30,
      'The same for one network: an IPv4 address or an IPv6 /48.',
    ),
    passwordPolicy: oneOf(
      'PASSWORD_POLICY',
      ['standard', 'strict'],
      'standard',
      'strict also requires upper-case and lower-case letters, a digit and a symbol.',
    ),
    pwnedPasswords: oneOf(
      'PWNED_PASSWORDS',
      ['on', 'off'],
      'off',
      'Whether new passwords are checked against known data breaches. Only a hash prefix is sent.',
    ),
    pwnedPasswordsUrl: string(
      'PWNED_PASSWORDS_URL',
      'https://api.pwnedpasswords.com/range/',
      'Range API used by PWNED_PASSWORDS.',
    ),
    testAuth: oneOf(
      'TEST_AUTH',
      ['true', 'false'],
      'false',
      'Whether endpoints that create test users are available. For sandboxes only; rejected in production.',
    ),
  },
  resolve: ({
    bootstrapEmail,
    bootstrapPassword,
    maxWaitingPasswords: maxWaiting,
    maxWaitingPasswordsPerNetwork: maxWaitingPerNetwork,
    pwnedPasswords,
    pwnedPasswordsUrl,
    testAuth,
    ...values
  }) => ({
    ...values,
    passwordQueue: { maxWaiting, maxWaitingPerNetwork },
    bootstrapAdmin: bootstrapEmail ? { email: bootstrapEmail, password: bootstrapPassword ?? '' } : undefined,
    /** Ends with a slash. Undefined: passwords are not checked. */
    pwnedPasswordsUrl: pwnedPasswords === 'on' ? pwnedPasswordsUrl.replace(/\/*$/, '/') : undefined,
    testAuth: testAuth === 'true',
  }),
  check: (values, { production, isTest }) => [
    Boolean(values.bootstrapEmail) !== Boolean(values.bootstrapPassword) &&
      'BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD must be set together',
    !isTest &&
      values.passwordHashCost < MIN_HASH_COST &&
      `PASSWORD_HASH_COST is below ${MIN_HASH_COST}, which is allowed only in tests`,
    values.pwnedPasswords === 'on' &&
      !/^https?:$/.test(URL.parse(values.pwnedPasswordsUrl)?.protocol ?? '') &&
      'PWNED_PASSWORDS_URL is not a URL; allowed: https://…/range/, or http:// for a mirror in your own network',
    // Later, the sessions are deleted that show when the user signed in.
    values.unverifiedAccountSeconds > EXPIRED_SESSION_TTL_SECONDS &&
      `UNVERIFIED_ACCOUNT_TTL must be at most ${EXPIRED_SESSION_TTL_SECONDS / DAY_SECONDS}d`,
    production &&
      values.testAuth === 'true' &&
      'TEST_AUTH creates accounts without authentication, so it cannot be used in production',
  ],
});
