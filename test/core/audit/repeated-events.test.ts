// Repeated events of requests that change nothing become one row, with their number.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ANONYMOUS, type AuditEvent } from '../../../src/core/audit/audit.js';
import { createRepeatedEvents } from '../../../src/core/audit/repeated-events.js';

const event = (address: string, reason = 'wrong_password'): AuditEvent => ({
  by: ANONYMOUS,
  meta: { address, userAgent: '', requestId: '' },
  detail: { reason },
});

/** Records events, and returns the details of those that were written. */
function writtenDetails(events: AuditEvent[]) {
  const written: AuditEvent['detail'][] = [];
  const repeated = createRepeatedEvents({ write: (_action, { detail }) => written.push(detail) });
  for (const each of events) repeated.record('sign_in.failed', each);
  const atOnce = [...written];
  repeated.flush();
  return { atOnce, later: written.slice(atOnce.length) };
}

describe('events that change nothing', () => {
  it('are written once, with the number of repetitions', () => {
    const { atOnce, later } = writtenDetails(Array.from({ length: 1000 }, () => event('192.0.2.1')));
    expect([atOnce, later]).toEqual([[{ reason: 'wrong_password' }], [{ reason: 'wrong_password', repeated: 999 }]]);
  });

  it.each([
    ['the same reason from two addresses', [event('192.0.2.1'), event('192.0.2.2')], 2],
    ['two reasons from one address', [event('192.0.2.1'), event('192.0.2.1', 'unknown_account')], 2],
    ['two addresses of one IPv6 /48', [event('2001:db8:1:1::1'), event('2001:db8:1:2::1')], 1],
  ])('are combined or not: %s', (_, events, count) => {
    expect(writtenDetails(events).atOnce).toHaveLength(count);
  });

  it('are combined without details when one network causes many different ones', () => {
    const { atOnce, later } = writtenDetails([
      ...Array.from({ length: 1000 }, (_, n) => event('192.0.2.1', `reason-${n}`)),
      event('192.0.2.2'),
    ]);
    expect(atOnce).toHaveLength(32);
    expect(atOnce.slice(-2)).toEqual([{ combined: true }, { reason: 'wrong_password' }]);
    expect(later).toEqual([{ combined: true, repeated: 969 }]);
  });

  it('are written at once if no client caused them', () => {
    expect(writtenDetails([event(''), event('')]).atOnce).toHaveLength(2);
  });

  it('are written again in the next window', async () => {
    const written: unknown[] = [];
    const repeated = createRepeatedEvents({ write: (_action, { detail }) => written.push(detail), windowMs: 20 });
    for (let n = 0; n < 3; n += 1) repeated.record('sign_in.failed', event('192.0.2.1'));
    await sleep(60);
    repeated.record('sign_in.failed', event('192.0.2.1'));
    expect(written).toEqual([
      { reason: 'wrong_password' },
      { reason: 'wrong_password', repeated: 2 },
      { reason: 'wrong_password' },
    ]);
  });
});
