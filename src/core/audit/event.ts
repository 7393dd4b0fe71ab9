/** An event of the audit log, and its actor. */
import type { RequestMeta } from '../../base/request-meta.js';

/** The actor of an event: an account, client or agent, this server, or an unknown caller. */
export type AuditActor = { kind: 'account' | 'client' | 'agent'; id: string } | { kind: 'system' | 'anonymous' };

export interface AuditEvent {
  /** The actor. A string is the id of an account. */
  by: string | AuditActor;
  meta?: RequestMeta;
  accountId?: string;
  clientId?: string;
  sessionId?: string;
  organizationId?: string;
  /** Never a secret: no password, token, code or key. */
  detail?: Record<string, string | number | boolean | null | string[]>;
}

export const SYSTEM: AuditActor = { kind: 'system' };
export const ANONYMOUS: AuditActor = { kind: 'anonymous' };
