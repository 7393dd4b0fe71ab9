import { systemMeta } from '../../src/base/request-meta.js';
import type { RevocationReason } from '../../src/core/sessions/revocation.js';
import type { TestServer } from './server.js';

/** Revokes all sessions of an account except `except`, in a unit of work of its own. */
export const revokeAllSessions = (
  { base, core }: Pick<TestServer, 'base' | 'core'>,
  accountId: string,
  reason: RevocationReason,
  except?: string,
) => base.transact((uow) => core.sessions.revokeAll(uow, accountId, { reason, except, meta: systemMeta }));
