/** Records of API keys: their data and their audit events. */
import { randomUUID } from 'node:crypto';
import { notFound } from '../../base/app-error.js';
import { sha256 } from '../../base/crypto.js';
import type { ApiKey } from '../../base/db/open.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AuditEvent } from '../audit/audit.js';
import { generateKey, type KeyFormat, prefixOf } from './formats.js';

/** A new key with its secret, which is returned only once. */
export interface FreshApiKey {
  key: string;
  record: ApiKey;
}

/** Returns a new key, and the part of its record that depends on it. */
export function mintKey(format: KeyFormat) {
  const key = generateKey(format);
  const id = `key_${randomUUID()}`;
  return { key, data: { id, format: format.prefix, prefix: prefixOf(key, format), hash: sha256(key) } };
}

/** Reports whether a key is active: neither revoked nor expired. */
export function isKeyActive({ revokedAt, expiresAt }: ApiKey, now: Date): boolean {
  return !revokedAt && (!expiresAt || expiresAt > now);
}

/**
 * Returns the audit event of a key.
 *
 * @param by the id of the account that acts
 */
export function keyEvent(
  { id, organizationId, accountId }: ApiKey,
  by: string,
  meta: RequestMeta,
  detail: AuditEvent['detail'] = {},
): AuditEvent {
  return { by, accountId, organizationId, meta, detail: { key: id, ...detail } };
}

/** Returns the error for an unknown, revoked or expired key. */
export const keyNotFound = () => notFound('There is no such key.');
