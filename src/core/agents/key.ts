/**
 * The key of an agent, which is its secret as an OAuth client as well. It is told once; what is
 * stored is its hash.
 */
import { randomUUID } from 'node:crypto';
import { sha256 } from '../../base/crypto.js';
import { generateKey, KEY_FORMATS, lookupOf } from '../api-keys/formats.js';
import type { Agent } from './active-agents.js';

/** An agent with a new key, and its first token. */
export interface FreshAgent {
  agent: Agent;
  key: string;
  token: string;
}

export function mintKey() {
  const key = generateKey(KEY_FORMATS.ocs_live);
  const keyLookup = lookupOf(key, KEY_FORMATS.ocs_live);
  return { key, data: { keyId: `key_${randomUUID()}`, keyLookup, keyHash: sha256(key) } };
}
