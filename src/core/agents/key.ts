/** Keys of agents. A key is also the agent's client secret; only its hash is stored. */
import { randomUUID } from 'node:crypto';
import { sha256 } from '../../base/crypto.js';
import { generateKey, KEY_FORMATS, prefixOf } from '../api-keys/formats.js';
import type { Agent } from './active-agents.js';

/** An agent with a new key and its first access token. Both are returned only once. */
export interface FreshAgent {
  agent: Agent;
  key: string;
  token: string;
}

/** Returns a new key and the columns to store for it. */
export function mintKey() {
  const key = generateKey(KEY_FORMATS.ocs_live);
  const keyPrefix = prefixOf(key, KEY_FORMATS.ocs_live);
  return { key, data: { keyId: `key_${randomUUID()}`, keyPrefix, keyHash: sha256(key) } };
}
