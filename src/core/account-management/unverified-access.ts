/**
 * Removes what was set up before the owner of an e-mail address proved to own it. A stranger can
 * have created the account with that address and prepared access to it (account pre-hijacking).
 */
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';

interface Deps {
  identities: Pick<Identities, 'removeAllFor'>;
  apiKeys: Pick<ApiKeys, 'removeAllFor'>;
  agents: Pick<Agents, 'removeAllFor'>;
  mfa: Pick<Mfa, 'removeAllFor'>;
}

export type UnverifiedAccess = ReturnType<typeof createUnverifiedAccess>;

export function createUnverifiedAccess({ identities, apiKeys, agents, mfa }: Deps) {
  return { remove };

  /**
   * Removes identities, API keys, agents, second factors and consents of an account. The caller
   * locks the account, replaces its password, revokes its sessions, and invalidates the cached
   * account.
   */
  async function remove({ tx }: Pick<UnitOfWork, 'tx'>, accountId: string): Promise<void> {
    for (const module of [identities, apiKeys, agents, mfa]) await module.removeAllFor(accountId, tx);
    await tx.consent.deleteMany({ where: { accountId } });
  }
}
