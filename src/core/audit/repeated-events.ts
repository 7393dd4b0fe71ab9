/**
 * Combines repeated events of requests that change nothing, so that an attacker cannot fill the
 * audit log. The first event is written at once. Equal ones of the same network within a minute
 * become one more event, with their number. Above a number of different events, the network's
 * further ones are combined without their details.
 */
import { MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { networkKey } from '../../base/ip-address.js';
import { ANONYMOUS, type AuditEvent } from './event.js';
import type { AuditAction } from './events.js';

type Write = (action: AuditAction, event: AuditEvent) => void;

interface Repeated {
  network: string;
  action: AuditAction;
  event: AuditEvent;
  count: number;
  timer: NodeJS.Timeout;
}

const MAX_KEYS = 10_000;
/** Different events of one network in a minute. */
const MAX_KEYS_PER_NETWORK = 30;

export function createRepeatedEvents({
  write,
  windowMs = MINUTE_SECONDS * SECOND_MS,
}: {
  write: Write;
  windowMs?: number;
}) {
  const repeated = new Map<string, Repeated>();
  const keysOfNetwork = new Map<string, number>();

  return { record, flush };

  /** Records an event. Writes an event without an address at once: no client caused it. */
  function record(action: AuditAction, event: AuditEvent): void {
    const { address } = event.meta ?? {};
    if (address) combine(action, networkKey(address), event);
    else write(action, event);
  }

  function combine(action: AuditAction, network: string, event: AuditEvent): void {
    if (repeat(keyOf(action, network, event), event)) return;
    if (repeated.size >= MAX_KEYS) flush();
    const isOneOfMany = (keysOfNetwork.get(network) ?? 0) >= MAX_KEYS_PER_NETWORK;
    const recorded: AuditEvent = isOneOfMany ? { by: ANONYMOUS, meta: event.meta, detail: { combined: true } } : event;
    if (!repeat(keyOf(action, network, recorded), recorded)) begin(action, network, recorded);
  }

  /** Counts an event whose key is known. Reports whether it is. */
  function repeat(key: string, event: AuditEvent): boolean {
    const known = repeated.get(key);
    if (!known) return false;
    known.count += 1;
    known.event = event;
    return true;
  }

  function begin(action: AuditAction, network: string, event: AuditEvent): void {
    const key = keyOf(action, network, event);
    const timer = setTimeout(() => end(key), windowMs).unref();
    repeated.set(key, { network, action, event, count: 0, timer });
    keysOfNetwork.set(network, (keysOfNetwork.get(network) ?? 0) + 1);
    write(action, event);
  }

  /** Writes the numbers that are known so far. */
  function flush(): void {
    for (const key of [...repeated.keys()]) end(key);
  }

  function end(key: string): void {
    const { network, action, event, count, timer } = repeated.get(key)!;
    clearTimeout(timer);
    repeated.delete(key);
    const keysLeft = (keysOfNetwork.get(network) ?? 0) - 1;
    if (keysLeft > 0) keysOfNetwork.set(network, keysLeft);
    else keysOfNetwork.delete(network);
    if (count > 0) write(action, { ...event, detail: { ...event.detail, repeated: count } });
  }
}

const keyOf = (action: AuditAction, network: string, { accountId, clientId, detail }: AuditEvent) =>
  JSON.stringify([action, network, accountId, clientId, detail]);
