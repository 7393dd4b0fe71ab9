/** Rotation of API keys: a new key replaces an old one, which stays valid for a grace period. */
import { invalidRequest } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit } from '../audit/audit.js';
import { formatWith } from './formats.js';
import { type FreshApiKey, keyEvent, keyNotFound, mintKey } from './records.js';

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  accountLimits: AccountLimits;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lockActing'>;
}

const MAX_GRACE_SECONDS = 30 * DAY_SECONDS;

export function createKeyRotation({ transact, clock, audit, accountLimits, invalidationBus, accounts }: Deps) {
  return { rotate };

  /**
   * Creates a key like the old one. The old key expires after `graceSeconds`, or earlier if it
   * would have expired anyway. Throws `not_found` unless it is one of the account's active keys, or
   * `conflict` above the limit of keys.
   */
  async function rotate(user: ActingUser, id: string, graceSeconds: number, meta: RequestMeta): Promise<FreshApiKey> {
    const accountId = user.account.id;
    if (graceSeconds > MAX_GRACE_SECONDS) {
      throw invalidRequest('Some values cannot be used.', { grace_period: 'Use at most 30d.' });
    }
    return transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const account = await accounts.lockActing(user, tx);
      const now = clock.now(); // read after the lock: the key may have expired while this waited
      // Locks the row while the key is active: without a grace period, one of several concurrent
      // rotations succeeds.
      const active = { id, accountId, revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] };
      const { count } = await tx.apiKey.updateMany({ where: active, data: { revokedAt: null } });
      if (count === 0) throw keyNotFound();
      const old = await tx.apiKey.findUniqueOrThrow({ where: { id } });
      const graceEndsAt = addSeconds(now, graceSeconds);
      if (!old.expiresAt || old.expiresAt > graceEndsAt)
        await tx.apiKey.update({ where: { id }, data: { expiresAt: graceEndsAt } });
      await accountLimits.requireRoom('apiKeys', account, tx);
      const lifeMs = old.expiresAt && old.expiresAt.getTime() - old.createdAt.getTime();
      const { key, data: minted } = mintKey(formatWith(old.format));
      const { name, organizationId, projectId, role, scopes } = old;
      const record = await tx.apiKey.create({
        data: {
          ...minted,
          ...{ accountId, organizationId, projectId, name, role, scopes: scopes as string[], createdAt: now },
          expiresAt: lifeMs === null ? null : new Date(now.getTime() + lifeMs),
        },
      });
      await audit.record(uow, 'api_key.rotated', keyEvent(record, accountId, meta, { replaced: id }));
      afterCommit(() => invalidationBus.publish('api-keys', id));
      return { key, record };
    });
  }
}
