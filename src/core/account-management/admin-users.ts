/**
 * Keepers: the administrators of this instance, and what they do with accounts. One of them always stays: of two who would take away
 * the last two at once, one is refused.
 */

import { conflict, forbidden, invalidRequest, isTaken, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Announcements } from '../../base/invalidation-bus.js';
import type { Mail } from '../../base/mail.js';
import {
  type Account,
  type AccountRole,
  type AccountStatus,
  type Accounts,
  addressTaken,
  mailboxOf,
  type NewAccount,
  normalizeEmail,
  splitName,
} from '../accounts/accounts.js';
import type { Verification } from '../accounts/email-verification.js';
import type { LinkTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { AuditAction } from '../audit/events.js';
import type { GiveBack } from '../federation/token-revocation.js';
import type { createLeaving } from '../organizations/member-removal.js';
import type { Caller } from '../request-meta.js';
import { describeHappening } from '../sessions/devices.js';
import type { EndReason } from '../sessions/revocation.js';
import type { Sessions } from '../sessions/sessions.js';

/** What is left out stays. */
export interface AccountChange {
  email?: string | undefined;
  name?: string | undefined;
  password?: string | undefined;
  role?: AccountRole | undefined;
  status?: AccountStatus | undefined;
}

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  announcements: Announcements;
  accounts: Accounts;
  passwords: Passwords;
  linkTokens: LinkTokens;
  verification: Pick<Verification, 'begin'>;
  leaveAll: ReturnType<typeof createLeaving>;
  giveBack: Pick<GiveBack, 'allOf'>;
  sessions: Pick<Sessions, 'endAll'>;
  mail: Mail;
}

export type Keepers = ReturnType<typeof createKeepers>;

export function createKeepers(needs: Needs) {
  const {
    db,
    clock,
    audit,
    announcements,
    accounts,
    passwords,
    linkTokens,
    verification,
    leaveAll,
    giveBack,
    sessions,
    mail,
  } = needs;

  return { create, change, remove };

  /** Refuses as `accounts.create` does. A link that verifies the address is mailed. */
  async function create(
    { role, status, ...input }: NewAccount & { role?: AccountRole | undefined; status?: AccountStatus | undefined },
    keeper: Account,
    caller: Caller,
  ): Promise<Account> {
    return accounts.create(input, caller, {
      role,
      status,
      by: keeper.id,
      also: status === 'suspended' ? undefined : verification.begin,
    });
  }

  /**
   * Changes an account. Another password, or a suspension, ends all its logins and grants in the same transaction. Refuses with
   * `not_found`, `invalid_request` by field, `conflict`, or `insufficient_role` whoever is no keeper any more.
   */
  async function change(id: string, given: AccountChange, keeper: Account, caller: Caller): Promise<Account> {
    const before = await demand(id);
    const data = await dataOf(given, before);
    const moved = data.email !== undefined && data.email !== before.email;
    let mailLink = () => {};
    const write = async (tx: Queryable) => {
      await holdAll(id, keeper.id, tx);
      const changed = await tx.account.update({
        where: { id },
        data: { ...data, ...(moved && { emailVerified: false, emailVerifiedAt: null }) },
      });
      await demandOneStays(tx);
      if (moved) {
        for (const purpose of ['reset', 'email'] as const) await linkTokens.revoke(purpose, id, tx);
        if (accounts.isActive(changed)) mailLink = await verification.begin(changed, tx);
      }
      for (const [action, detail] of happened(given, before)) {
        const actor = { kind: 'account' as const, id: keeper.id };
        await audit.record({ action, actor, accountId: id, caller, ...(detail && { detail }) }, tx);
      }
    };
    try {
      const ends = endReason(given, before);
      if (ends) await sessions.endAll(id, ends, caller, undefined, write);
      else await db.$transaction(write);
    } catch (error) {
      throw isTaken(error) ? addressTaken() : error;
    }
    await announcements.announce('accounts', id);
    mailLink();
    if (given.password) mail.send(mailboxOf(before), 'password-changed', describeHappening(caller, clock.now()));
    return demand(id);
  }

  /**
   * Deletes an account with all that is its own: permissions, keys, logins, grants, organizations where nobody else is. Providers
   * elsewhere are asked to forget what they gave for it. Refuses with `not_found`, with `conflict` for the last keeper or owner, or with
   * `insufficient_role` whoever is no keeper any more.
   */
  async function remove(id: string, keeper: Account, caller: Caller): Promise<void> {
    await demand(id);
    let goodbye = () => {};
    const first = (tx: Queryable) => holdAll(id, keeper.id, tx);
    await sessions.endAll(id, 'account_deleted', caller, undefined, first, async (tx) => {
      await leaveAll(id, tx);
      goodbye = await giveBack.allOf(id, tx);
      await tx.account.delete({ where: { id } });
      await demandOneStays(tx);
      const actor = { kind: 'account' as const, id: keeper.id };
      await audit.record({ action: 'account.deleted', actor, accountId: id, caller }, tx);
    });
    goodbye();
    await announcements.announce('accounts', id);
  }

  /**
   * One change at a time: holds the account and all keepers until the transaction is over, always in the same order. Whoever was lowered
   * a moment ago changes nobody any more.
   */
  async function holdAll(id: string, keeperId: string, tx: Queryable): Promise<void> {
    const keepers = await tx.account.findMany({ where: { role: 'admin' }, select: { id: true } });
    const ids = new Set([id, keeperId, ...keepers.map((keeper) => keeper.id)]);
    const held = new Map<string, Account | null>();
    for (const one of [...ids].sort()) held.set(one, await accounts.hold(one, tx));
    const keeper = held.get(keeperId);
    if (!accounts.isActive(keeper) || keeper.role !== 'admin') {
      throw forbidden('insufficient_role', 'This is for administrators of this instance.');
    }
    if (!held.get(id)) throw noSuchAccount();
  }

  async function demandOneStays(tx: Queryable): Promise<void> {
    if ((await tx.account.count({ where: { role: 'admin', status: 'active' } })) > 0) return;
    throw conflict('The last administrator stays: make somebody else one first.');
  }

  /** The account as it stands in the store. */
  async function demand(id: string): Promise<Account> {
    const account = await db.account.findUnique({ where: { id } });
    if (!account) throw noSuchAccount();
    return account;
  }

  async function dataOf(
    { email, password, role, status, ...given }: AccountChange,
    before: Account,
  ): Promise<Prisma.AccountUpdateInput & { email?: string }> {
    const name = given.name?.trim();
    const address = email === undefined ? before.email : normalizeEmail(email);
    const fault = password === undefined ? undefined : await passwords.fault(password, address);
    const faults = {
      ...(await accounts.faultsOf({ email: address, ...(name && { name }), passwordHash: null })),
      ...(fault && { password: fault }),
    };
    if (Object.keys(faults).length > 0) throw invalidRequest('Some values cannot be used.', faults);
    const now = clock.now();
    return {
      ...(email !== undefined && { email: address }),
      ...(name !== undefined && { name: name || null, ...namesOf(name) }),
      ...(role && { role }),
      ...(status && { status }),
      ...(password !== undefined && {
        passwordHash: await passwords.hash(password),
        passwordChangedAt: now,
        notBefore: now,
      }),
    };
  }
}

function namesOf(name: string): { givenName: string | null; familyName: string | null } {
  const { givenName = null, familyName = null } = splitName(name || undefined);
  return { givenName, familyName };
}

function endReason({ password, status }: AccountChange, before: Account): EndReason | undefined {
  if (status === 'suspended' && before.status !== 'suspended') return 'suspended';
  return password === undefined ? undefined : 'password_changed';
}

/** What the trail says, each by its own name. */
function happened(
  { email, name, password, role, status }: AccountChange,
  before: Account,
): [AuditAction, Record<string, string | string[]>?][] {
  const fields = Object.entries({ email, name }).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  const all: [AuditAction, Record<string, string | string[]>?][] = [];
  if (fields.length > 0) all.push(['account.updated', { fields }]);
  if (password !== undefined) all.push(['password.set']);
  if (role && role !== before.role) all.push(['account.role_changed', { role }]);
  if (status && status !== before.status) {
    all.push([status === 'suspended' ? 'account.suspended' : 'account.reinstated']);
  }
  return all;
}

const noSuchAccount = () => notFound('There is no such account.');
