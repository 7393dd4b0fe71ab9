/**
 * Passwords that were stolen elsewhere, asked for by five characters of their hash: the other side
 * learns neither password nor hash.
 */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/log.js';
import { createSafeFetch } from '../../base/safe-fetch.js';

interface Deps {
  /** Of a range API like that of Have I Been Pwned; undefined when nobody is to be asked. */
  url: string | undefined;
  log: Log;
}

const TIMEOUT_MS = 2000;
/** Some thousand rows; a range had 800 to 1500 so far. */
const MAX_BYTES = 256 * 1024;
const PREFIX_LENGTH = 5;
const ROW = /^([0-9A-F]{35}):(\d{1,12})$/i;

export type PwnedPasswords = ReturnType<typeof createPwnedPasswords>;

export function createPwnedPasswords({ url, log }: Deps) {
  // Guarded for its limits of time and size. The keeper named the host, so it may be one of a
  // private network.
  const fetch = createSafeFetch({
    privateHosts: url ? [new URL(url).host] : [],
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
  });

  return { has };

  /**
   * Whether it is known to be stolen. When nobody answers it counts as not: a service of others
   * must not keep people out.
   */
  async function has(password: string): Promise<boolean> {
    if (!url) return false;
    const hash = createHash('sha1').update(password).digest('hex').toUpperCase();
    try {
      const rows = await ask(hash.slice(0, PREFIX_LENGTH));
      return (rows.get(hash.slice(PREFIX_LENGTH)) ?? 0) > 0; // padding is told by its count of 0
    } catch (error) {
      log.warn({ error }, 'nobody says whether a password is stolen: it was allowed');
      return false;
    }
  }

  /** How often each hash of this range was seen, by the rest of the hash. */
  async function ask(prefix: string): Promise<Map<string, number>> {
    const response = await fetch(`${url}${prefix}`, { headers: { 'add-padding': 'true' } });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the range API answers ${response.status}`);
    }
    const rows = (await response.text()).split(/\r?\n/).filter(Boolean);
    return new Map(rows.map(readRow));
  }
}

function readRow(row: string): [suffix: string, count: number] {
  const [, suffix, count] = ROW.exec(row) ?? [];
  if (!suffix) throw new Error('the range API does not answer with hashes');
  return [suffix.toUpperCase(), Number(count)];
}
