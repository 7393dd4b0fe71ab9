/**
 * Looks passwords up in a database of breached ones (Have I Been Pwned). Only the first five
 * characters of the hash are sent, so the service learns neither password nor hash.
 */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/log.js';
import { createSafeFetch } from '../../base/safe-fetch.js';

interface Deps {
  /** The URL of the range API, with a final slash; undefined disables the lookup. */
  url: string | undefined;
  log: Log;
}

const TIMEOUT_MS = 2000;
/** Enough for several thousand rows; a range has 800 to 1,500. */
const MAX_RESPONSE_BYTES = 256 * 1024;
const PREFIX_LENGTH = 5;
const ROW_FORMAT = /^([0-9A-F]{35}):(\d{1,12})$/i;

export type PwnedPasswords = ReturnType<typeof createPwnedPasswords>;

export function createPwnedPasswords({ url, log }: Deps) {
  // Limits time and size. The operator chose the host, so a private address is allowed.
  const fetch = createSafeFetch({
    privateHosts: url ? [new URL(url).host] : [],
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_RESPONSE_BYTES,
  });

  return { has };

  /**
   * Reports whether the password appeared in a data breach. Returns false if the service fails,
   * because an outage must not block users.
   */
  async function has(password: string): Promise<boolean> {
    if (!url) return false;
    const hash = createHash('sha1').update(password).digest('hex').toUpperCase();
    try {
      const rows = await fetchRange(hash.slice(0, PREFIX_LENGTH));
      return (rows.get(hash.slice(PREFIX_LENGTH)) ?? 0) > 0; // padding rows have a count of 0
    } catch (error) {
      log.warn({ error }, 'could not look up a password among breached ones; it was allowed');
      return false;
    }
  }

  /** Returns how often each hash with this prefix was breached, by the rest of the hash. */
  async function fetchRange(prefix: string): Promise<Map<string, number>> {
    const response = await fetch(`${url}${prefix}`, { headers: { 'add-padding': 'true' } });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the range API returned status ${response.status}`);
    }
    const rows = (await response.text()).split(/\r?\n/).filter(Boolean);
    return new Map(rows.map(parseRow));
  }
}

function parseRow(row: string): [suffix: string, count: number] {
  const [, suffix, count] = ROW_FORMAT.exec(row) ?? [];
  if (!suffix) throw new Error('the range API did not return hashes');
  return [suffix.toUpperCase(), Number(count)];
}
