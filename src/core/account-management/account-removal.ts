/** Deletes accounts with everything that belongs to them. */
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { TokenRevocation } from '../federation/token-revocation.js';
import type { MemberRemoval } from '../organizations/member-removal.js';
import type { Sessions } from '../sessions/sessions.js';

interface Deps {
  audit: Audit;
  invalidationBus: InvalidationBus;
  memberRemoval: MemberRemoval;
  tokenRevocation: Pick<TokenRevocation, 'revokeAllFor'>;
  sessions: Pick<Sessions, 'revokeAll'>;
}

export type AccountRemoval = ReturnType<typeof createAccountRemoval>;

export function createAccountRemoval({ audit, invalidationBus, memberRemoval, tokenRevocation, sessions }: Deps) {
  return { remove };

  /**
   * Deletes an account that the caller has locked, with its sessions, grants, keys and permissions.
   * Also deletes organizations that have no other member, and revokes the account's tokens at
   * external providers. Throws `AppError` `conflict` for the last owner of an organization that has
   * other members.
   */
  async function remove(
    uow: UnitOfWork,
    id: string,
    { by, meta, detail }: Pick<AuditEvent, 'by' | 'detail'> & Required<Pick<AuditEvent, 'meta'>>,
  ): Promise<void> {
    const { tx, afterCommit } = uow;
    await sessions.revokeAll(uow, id, { reason: 'account_deleted', meta, by });
    await memberRemoval.removeFromAll(id, tx);
    await tokenRevocation.revokeAllFor(uow, id);
    await tx.account.delete({ where: { id } });
    await audit.record(uow, 'account.deleted', { by, accountId: id, meta, ...(detail && { detail }) });
    afterCommit(() => invalidationBus.publish('accounts', id));
  }
}
