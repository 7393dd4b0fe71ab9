/** Signing in: where accounts, passwords, limits and sessions meet. Whatever the door, the rules are these. */
import ipaddr from 'ipaddr.js';
import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Database, Queryable } from '../../base/db/open.js';
import { forbidden, Refusal, unauthenticated } from '../../base/errors.js';
import type { Limit, Limits } from '../../base/limits.js';
import { type Account, type Accounts, type NewAccount, normalizeEmail } from '../accounts/accounts.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { Caller } from '../caller.js';
import type { Login, Session, Sessions } from '../sessions/sessions.js';

interface Needs {
  db: Database;
  clock: Clock;
  accounts: Accounts;
  passwords: Passwords;
  sessions: Sessions;
  limits: Limits;
  audit: Audit;
}

export interface Credentials {
  email: string;
  password: string;
}

/** A login that was just opened or renewed, with the token for the browser's cookie. */
export interface FreshLogin {
  account: Account;
  session: Session;
  token: string;
}

const CODE = 'auth_rate_limited';
/** Guesses at one account from one address. */
const BY_PAIR: Limit = { name: 'sign-in-pair', points: 10, seconds: 15 * MINUTE_SECONDS, code: CODE };
/** Guesses from one address, at whatever account. */
const BY_ADDRESS: Limit = { name: 'sign-in-address', points: 100, seconds: 15 * MINUTE_SECONDS, code: CODE };
/** Guesses at one account from all addresses from which nobody ever signed in to it. Its owner comes from another one. */
const BY_ACCOUNT: Limit = { name: 'sign-in-account', points: 100, seconds: HOUR_SECONDS, code: CODE };
const REGISTER_BY_ADDRESS: Limit = { name: 'register-address', points: 30, seconds: HOUR_SECONDS, code: CODE };
const FAMILIAR_SECONDS = 90 * DAY_SECONDS;

export type SignIn = ReturnType<typeof createSignIn>;

export function createSignIn({ db, clock, accounts, passwords, sessions, limits, audit }: Needs) {
  return { withPassword, register };

  /**
   * Signs a person in by password. Refuses with `invalid_credentials` (the same words after the same time for an unknown
   * e-mail), `account_suspended` or `auth_rate_limited`.
   *
   * @param current the login that the browser has already: renewed if it is the same person's, ended if it is another's
   */
  async function withPassword(
    { email, password }: Credentials,
    current: Login | undefined,
    caller: Caller,
  ): Promise<FreshLogin> {
    const login = normalizeEmail(email);
    const keys = keysFor(login, caller);
    const account = await accounts.findByEmail(login);
    await spend(keys, account, caller);

    const right = await passwords.verify(password, account?.passwordHash);
    if (!account || !right) {
      await noteFailure(account, right ? 'unknown' : 'wrong_password', caller);
      throw unauthenticated('invalid_credentials', 'The e-mail address or the password is not right.');
    }
    await forgive(keys);
    if (!accounts.isActive(account)) {
      await noteFailure(account, 'suspended', caller);
      throw forbidden('account_suspended', 'This account is suspended.');
    }
    return openLogin(account, ['pwd'], current, caller);
  }

  /** Makes an account and signs it in. Refuses with `invalid_request` by field, `conflict` or `auth_rate_limited`. */
  async function register(input: NewAccount, current: Login | undefined, caller: Caller): Promise<FreshLogin> {
    await limits.spend(REGISTER_BY_ADDRESS, addressKey(caller.address));
    const account = await accounts.create(input, caller);
    return openLogin(account, ['pwd'], current, caller);
  }

  async function openLogin(
    account: Account,
    amr: string[],
    current: Login | undefined,
    caller: Caller,
  ): Promise<FreshLogin> {
    const same = current?.account.id === account.id ? current : undefined;
    if (current && !same) await sessions.end(current.session.id, 'signed_out', caller);
    const { session, token } = await db.$transaction(async (tx: Queryable) => {
      const fresh = same ? await sessions.renew(same, amr, tx) : await sessions.open(account, amr, caller, tx);
      await audit.record(
        {
          action: 'sign_in.succeeded',
          actor: { kind: 'account', id: account.id },
          accountId: account.id,
          sessionId: fresh.session.id,
          caller,
          detail: { amr },
        },
        tx,
      );
      return fresh;
    });
    if (same) await sessions.changed(session.id);
    return { account, session, token };
  }

  /** Counted before the password is looked at, so that many guesses at once are counted too. */
  async function spend(keys: Keys, account: Account | null, caller: Caller): Promise<void> {
    try {
      await limits.spend(BY_PAIR, keys.pair);
      await limits.spend(BY_ADDRESS, keys.address);
      if (!(await limits.isSpent(BY_ACCOUNT, keys.account))) await limits.spend(BY_ACCOUNT, keys.account);
      else if (!(await isFamiliar(account, caller))) await limits.spend(BY_ACCOUNT, keys.account);
    } catch (error) {
      if (error instanceof Refusal && error.status === 429) await noteFailure(account, 'rate_limited', caller);
      throw error;
    }
  }

  async function forgive(keys: Keys): Promise<void> {
    await limits.reset(BY_PAIR, keys.pair);
    await limits.refund(BY_ADDRESS, keys.address);
    await limits.refund(BY_ACCOUNT, keys.account);
  }

  /** Whether this account was signed in to from this address, or its IPv6 network, before. */
  async function isFamiliar(account: Account | null, { address }: Caller): Promise<boolean> {
    if (!account) return false;
    const since = addSeconds(clock.now(), -FAMILIAR_SECONDS);
    const where = { accountId: account.id, createdAt: { gt: since } };
    const known = await db.session.findMany({ where, select: { address: true }, distinct: ['address'] });
    return known.some((session) => addressKey(session.address ?? '') === addressKey(address));
  }

  async function noteFailure(account: Account | null, reason: string, caller: Caller): Promise<void> {
    audit.recordSoon({
      action: 'sign_in.failed',
      actor: { kind: 'anonymous' },
      accountId: account?.id,
      caller,
      detail: { reason },
    });
  }
}

type Keys = ReturnType<typeof keysFor>;

function keysFor(login: string, { address }: Caller) {
  const account = sha256(login);
  const from = addressKey(address);
  return { pair: `${account}:${from}`, address: from, account };
}

/** One customer of an IPv6 provider has a whole /64: it counts as one address. */
function addressKey(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
}
