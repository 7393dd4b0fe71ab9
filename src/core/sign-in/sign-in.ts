/** Signing in: where accounts, passwords, limits and sessions meet. Whatever the door, the rules are these. */
import { addressKey } from '../../base/address.js';
import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Database, Queryable } from '../../base/db/open.js';
import { forbidden, Refusal, unauthenticated } from '../../base/errors.js';
import type { Limit, Limits } from '../../base/limits.js';
import { type Account, type Accounts, isEmail, type NewAccount, normalizeEmail } from '../accounts/accounts.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { Caller } from '../caller.js';
import type { Login, Session, Sessions } from '../sessions/sessions.js';
import type { RefreshedLogin, Tokens } from '../sessions/tokens.js';

interface Needs {
  db: Database;
  clock: Clock;
  accounts: Accounts;
  passwords: Passwords;
  sessions: Sessions;
  tokens: Tokens;
  limits: Limits;
  audit: Audit;
}

export interface Credentials {
  email: string;
  password: string;
}

/** Somebody who has proved who they are, and is not let in yet. */
export interface Proven {
  account: Account;
  /** How (RFC 8176). */
  amr: string[];
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
/** Once an account is under attack, somebody who was never here may still try, a little: it may be its owner elsewhere. */
const UNDER_ATTACK: Limit = { name: 'sign-in-under-attack', points: 3, seconds: HOUR_SECONDS, code: CODE };
const REGISTER_BY_ADDRESS: Limit = { name: 'register-address', points: 30, seconds: HOUR_SECONDS, code: CODE };
const FAMILIAR_SECONDS = 90 * DAY_SECONDS;
const NOTE_AGAIN_AFTER_MS = MINUTE_SECONDS * SECOND_MS;
const MAX_NOTED = 10_000;

export function createSignIn({ db, clock, accounts, passwords, sessions, tokens, limits, audit }: Needs) {
  const noted = new Map<string, number>();

  return { withPassword, register, openInBrowser, openForApi };

  /**
   * Proves a person by password. Refuses with `invalid_credentials` (the same words after the same time for an unknown
   * e-mail), `account_suspended` or `auth_rate_limited`.
   */
  async function withPassword({ email, password }: Credentials, caller: Caller): Promise<Proven> {
    const login = normalizeEmail(email);
    const keys = keysFor(login, caller);
    // What cannot be an address is nobody's; it takes as long all the same.
    const account = isEmail(login) ? await accounts.findByEmail(login) : null;
    const forgive = await spend(keys, account, caller);

    const right = await passwords.verify(password, account?.passwordHash);
    if (!account || !right) {
      noteFailure(account, account ? 'wrong_password' : 'unknown_account', caller);
      throw unauthenticated('invalid_credentials', 'The e-mail address or the password is not right.');
    }
    await forgive();
    if (!accounts.isActive(account)) {
      noteFailure(account, 'suspended', caller);
      throw forbidden('account_suspended', 'This account is suspended.');
    }
    await accounts.renewHash(account, password);
    return { account, amr: ['pwd'] };
  }

  /** Makes an account. Refuses with `invalid_request` by field, `conflict` or `auth_rate_limited`. */
  async function register(input: NewAccount, caller: Caller): Promise<Proven> {
    await limits.spend(REGISTER_BY_ADDRESS, addressKey(caller.address));
    return { account: await accounts.create(input, caller), amr: ['pwd'] };
  }

  /**
   * Lets somebody in, in a browser.
   *
   * @param current the login that the browser has already: renewed if it is the same person's, ended if it is another's
   */
  async function openInBrowser(
    { account, amr }: Proven,
    current: Login | undefined,
    caller: Caller,
  ): Promise<FreshLogin> {
    const same = current?.account.id === account.id ? current : undefined;
    if (current && !same) await sessions.end(current.session.id, 'signed_out', caller);
    const { session, token } = await db.$transaction(async (tx: Queryable) => {
      const fresh = same ? await sessions.renew(same, amr, tx) : await sessions.open(account, amr, caller, tx);
      await noteSuccess(fresh.session, caller, tx);
      return fresh;
    });
    if (same) await sessions.changed(session.id);
    return { account, session, token };
  }

  /** Lets somebody in who comes without a page: a login of its own, with its first tokens. */
  async function openForApi({ account, amr }: Proven, caller: Caller): Promise<RefreshedLogin> {
    return db.$transaction(async (tx) => {
      const login = await tokens.open(account, amr, caller, tx);
      await noteSuccess(login.session, caller, tx);
      return login;
    });
  }

  /**
   * Counted before the password is looked at, so that many guesses at once are counted too. Returns how to take it back when the
   * password was right.
   */
  async function spend(keys: Keys, account: Account | null, caller: Caller): Promise<() => Promise<void>> {
    try {
      await limits.spend(BY_ADDRESS, keys.address); // first: whoever invents addresses of others makes no counters for them
      await limits.spend(BY_PAIR, keys.pair);
      if (!(await limits.isSpent(BY_ACCOUNT, keys.account))) await limits.spend(BY_ACCOUNT, keys.account);
      else if (!(await isFamiliar(account, caller))) await limits.spend(UNDER_ATTACK, keys.pair);
    } catch (error) {
      if (error instanceof Refusal && error.status === 429) noteRefusal(keys, account, caller);
      throw error;
    }
    return async function forgive() {
      await limits.refund(BY_ADDRESS, keys.address);
      await limits.reset(BY_PAIR, keys.pair);
      await limits.reset(UNDER_ATTACK, keys.pair);
    };
  }

  /** Once a minute for each source: somebody who is refused a thousand times a second does not fill the trail. */
  function noteRefusal(keys: Keys, account: Account | null, caller: Caller): void {
    const now = clock.now().getTime();
    if ((noted.get(keys.address) ?? 0) > now - NOTE_AGAIN_AFTER_MS) return;
    if (noted.size >= MAX_NOTED) noted.clear();
    noted.set(keys.address, now);
    noteFailure(account, 'rate_limited', caller);
  }

  /** Whether this account was signed in to from this address, or its IPv6 network, before. */
  async function isFamiliar(account: Account | null, { address }: Caller): Promise<boolean> {
    if (!account) return false;
    const since = addSeconds(clock.now(), -FAMILIAR_SECONDS);
    const where = { accountId: account.id, createdAt: { gt: since } };
    const known = await db.session.findMany({ where, select: { address: true }, distinct: ['address'] });
    return known.some((session) => addressKey(session.address ?? '') === addressKey(address));
  }

  async function noteSuccess({ id, accountId, amr }: Session, caller: Caller, tx: Queryable): Promise<void> {
    const actor = { kind: 'account' as const, id: accountId };
    const detail = { amr: amr as string[] };
    await audit.record({ action: 'sign_in.succeeded', actor, accountId, sessionId: id, caller, detail }, tx);
  }

  function noteFailure(account: Account | null, reason: string, caller: Caller): void {
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
