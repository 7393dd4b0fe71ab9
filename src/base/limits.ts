/**
 * Rate limits, all in one table. The setting `LIMITS` changes the number of events that they allow.
 * Rate limits of the JSON API have settings of their own.
 */
import { DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from './clock.js';

/** Allows `points` events in `seconds`, and then no event for `blockSeconds`. */
export interface Limit {
  name: string;
  points: number;
  seconds: number;
  /** How long events are rejected once the limit is exceeded. Default: the rest of the window. */
  blockSeconds?: number;
  /** The code of the error. */
  code?: string;
  /** The counted events, for messages: "registrations of apps from one network". */
  events?: string;
}

/** `points` in `seconds` and the counted events. */
type Row = [points: number, seconds: number, events: string];

const QUARTER_HOUR = 15 * MINUTE_SECONDS;

/** Limits of authentication attempts. Their errors have the code `auth_rate_limited`. */
const ATTEMPTS = {
  'sign-in-device': [10, QUARTER_HOUR, 'attempts to sign in to one account from a known browser'],
  'sign-in-device-hours': [20, 3 * HOUR_SECONDS, 'attempts to sign in to one account from a known browser'],
  'sign-in-device-day': [40, DAY_SECONDS, 'attempts to sign in to one account from a known browser'],
  'sign-in-pair': [10, QUARTER_HOUR, 'attempts to sign in to one account from one network'],
  'sign-in-pair-hours': [20, 3 * HOUR_SECONDS, 'attempts to sign in to one account from one network'],
  'sign-in-pair-day': [40, DAY_SECONDS, 'attempts to sign in to one account from one network'],
  'sign-in-pair-56': [30, HOUR_SECONDS, 'attempts to sign in to one account from one IPv6 /56'],
  'sign-in-pair-48': [60, HOUR_SECONDS, 'attempts to sign in to one account from one IPv6 /48'],
  'sign-in-address': [100, QUARTER_HOUR, 'attempts to sign in from one network'],
  'sign-in-address-hours': [300, 3 * HOUR_SECONDS, 'attempts to sign in from one network'],
  'sign-in-address-day': [1000, DAY_SECONDS, 'attempts to sign in from one network'],
  'sign-in-address-56': [600, HOUR_SECONDS, 'attempts to sign in from one IPv6 /56'],
  'sign-in-address-48': [1200, HOUR_SECONDS, 'attempts to sign in from one IPv6 /48'],
  'sign-in-account': [100, HOUR_SECONDS, 'attempts to sign in to one account'],
  'sign-in-under-attack': [3, HOUR_SECONDS, 'attempts from one network to sign in to an account under attack'],
  'sign-in-ceiling': [100, HOUR_SECONDS, 'attempts from unknown networks to sign in to an account under attack'],
  'otp-minutes': [5, 5 * MINUTE_SECONDS, 'codes of a second factor for one account'],
  'otp-hour': [15, HOUR_SECONDS, 'codes of a second factor for one account'],
  'otp-day': [30, DAY_SECONDS, 'codes of a second factor for one account'],
  'recovery-code': [20, HOUR_SECONDS, 'recovery codes for one account'],
  'register-address': [30, HOUR_SECONDS, 'registrations of accounts from one network'],
  'federation-begin': [1000, HOUR_SECONDS, 'sign-ins with external providers from one network'],
  'federation-fail': [100, QUARTER_HOUR, 'failed sign-ins with external providers from one network'],
} satisfies Record<string, Row>;

const REQUESTS = {
  'forgot-address': [30, HOUR_SECONDS, 'password resets from one network'],
  'forgot-account': [3, HOUR_SECONDS, 'password resets of one account'],
  'verification-account': [3, HOUR_SECONDS, 'verification links for one account'],
  'new-device-account': [5, DAY_SECONDS, 'e-mails about new devices to one account'],
  'provider-linked-account': [20, DAY_SECONDS, 'e-mails about linked providers to one account'],
  'provider-token': [120, MINUTE_SECONDS, 'reads of the stored provider tokens of one account'],
  'invitation-inviter': [100, DAY_SECONDS, 'invitations by one user'],
  'invitation-pair': [10, DAY_SECONDS, 'invitations by one user to one address'],
  'invitation-address': [30, DAY_SECONDS, 'invitations to one address'],
  authorization: [600, MINUTE_SECONDS, 'authorization, device and pushed requests from one network'],
  'device-user-code': [30, 10 * MINUTE_SECONDS, 'user codes of devices from one network'],
  'client-registration': [60, HOUR_SECONDS, 'registrations of apps from one network'],
  'client-document': [60, HOUR_SECONDS, 'new client metadata documents from one network'],
  'client-authentication': [60, 5 * MINUTE_SECONDS, 'failed authentications of one client from one network'],
  'agent-onboarding': [10, HOUR_SECONDS, 'onboardings of agents from one network'],
  'approval-agent': [120, HOUR_SECONDS, 'lookups of users by one agent'],
  'approval-pair': [10, HOUR_SECONDS, 'approval requests of one agent to one user'],
} satisfies Record<string, Row>;

export type LimitName = keyof typeof ATTEMPTS | keyof typeof REQUESTS;

export const LIMITS = Object.fromEntries([
  ...Object.entries(ATTEMPTS).map(([name, row]) => [name, toLimit(name, row, 'auth_rate_limited')]),
  ...Object.entries(REQUESTS).map(([name, row]) => [name, toLimit(name, row)]),
]) as Record<LimitName, Limit>;

function toLimit(name: string, row: readonly unknown[], code?: string): Limit {
  const [points, seconds, events] = row as Row;
  return { name, points, seconds, events, ...(code && { code }) };
}
