/**
 * Combines repeated events of anonymous requests, so that an attacker cannot fill the audit log.
 * The first event is written at once. Equal ones of the same network within a minute become one
 * more event, with their number.
 */
import { MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { networkKey } from '../../base/ip-address.js';
import type { AuditEvent } from './audit.js';
import type { AuditAction } from './events.js';

type Write = (action: AuditAction, event: AuditEvent) => void;

interface Repeated {
  action: AuditAction;
  event: AuditEvent;
  count: number;
  timer: NodeJS.Timeout;
}

const MAX_KEYS = 10_000;

export function createRepeatedEvents({
  write,
  windowMs = MINUTE_SECONDS * SECOND_MS,
}: {
  write: Write;
  windowMs?: number;
}) {
  const repeated = new Map<string, Repeated>();

  return { record, flush };

  function record(action: AuditAction, event: AuditEvent): void {
    const key = keyOf(action, event);
    const known = repeated.get(key);
    if (known) {
      known.count += 1;
      known.event = event;
      return;
    }
    if (repeated.size >= MAX_KEYS) flush();
    repeated.set(key, { action, event, count: 0, timer: setTimeout(() => end(key), windowMs).unref() });
    write(action, event);
  }

  /** Writes the numbers that are known so far. */
  function flush(): void {
    for (const key of [...repeated.keys()]) end(key);
  }

  function end(key: string): void {
    const { action, event, count, timer } = repeated.get(key)!;
    clearTimeout(timer);
    repeated.delete(key);
    if (count > 0) write(action, { ...event, detail: { ...event.detail, repeated: count } });
  }
}

const keyOf = (action: AuditAction, { meta, accountId, clientId, detail }: AuditEvent) =>
  JSON.stringify([action, networkKey(meta?.address ?? ''), accountId, clientId, detail]);
