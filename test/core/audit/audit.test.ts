// The audit log: committed together with the change, and never a reason for a request to fail.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.js';
import { createLog } from '../../../src/base/log.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { createAudit } from '../../../src/core/audit/audit.js';
import { AUDIT_ACTIONS } from '../../../src/core/audit/events.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const EVENT = { by: { kind: 'client' as const, id: 'c' } };

describe.each(stores)('the audit log on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const count = (where: object = {}) => server.base.db.auditEvent.count({ where });

  it('commits an event together with the change, or not at all', async () => {
    const rolledBack = server.base.transact(async (uow) => {
      await server.core.audit.record(uow, 'token.denied', { ...EVENT, clientId: 'rolled-back' });
      throw new Error('the change failed');
    });
    await expect(rolledBack).rejects.toThrow('the change failed');
    expect(await count({ clientId: 'rolled-back' })).toBe(0);
    const input = { email: 'twice@example.com', password: PASSWORD };
    const { id } = await server.core.accounts.create(input, systemMeta);
    await expect(server.core.accounts.create(input, systemMeta)).rejects.toMatchObject({ status: 409 });
    expect(await count({ action: 'account.created', accountId: id })).toBe(1);
  });

  it('records the actor, the account, the request metadata and the time', async () => {
    const meta = { address: '192.0.2.1', userAgent: 'Browser', requestId: 'r-1' };
    const by = { kind: 'client', id: 'c-1' } as const;
    await server.core.audit.record(undefined, 'token.revoked', { by, meta, accountId: 'a-1', detail: { n: 1 } });
    const [entry] = await server.core.audit.list({ accountId: 'a-1' });
    expect(entry).toMatchObject({
      action: 'token.revoked',
      actorKind: 'client',
      actorId: 'c-1',
      address: '192.0.2.1',
      userAgent: 'Browser',
      requestId: 'r-1',
      detail: { n: 1 },
    });
    expect(Math.abs(entry!.at.getTime() - Date.now())).toBeLessThan(10_000);
  });

  it('writes buffered events within a second, or on flush', async () => {
    const record = (clientId: string) => server.core.audit.recordSoon('token.denied', { ...EVENT, clientId });
    for (let n = 0; n < 50; n += 1) record('soon');
    expect(await count({ clientId: 'soon' })).toBe(0);
    await expect.poll(() => count({ clientId: 'soon' }), { timeout: 5000 }).toBe(50);
    record('flushed');
    await server.core.audit.flush();
    expect(await count({ clientId: 'flushed' })).toBe(1);
  });

  it('buffers events while the database is unavailable, and drops those above the limit', async () => {
    const { db } = server.base;
    let unavailable = true;
    const lines: string[] = [];
    const failing = {
      auditEvent: {
        createMany: (input: never) =>
          unavailable
            ? Promise.reject(Object.assign(new Error('unavailable'), { code: 'P1001' }))
            : db.auditEvent.createMany(input),
      },
    } as never;
    const log = createLog('info', { write: (line) => lines.push(line) });
    const audit = createAudit({ db: failing, clock: systemClock, log });
    for (let n = 0; n < 10_050; n += 1) audit.recordSoon('token.denied', { ...EVENT, clientId: 'later' });
    await expect(audit.flush()).resolves.toBeUndefined();
    expect(lines.some((line) => line.includes('the audit buffer is full'))).toBe(true);
    expect(lines.some((line) => line.includes('cannot be written'))).toBe(true);
    unavailable = false;
    await audit.flush();
    expect(await count({ clientId: 'later' })).toBe(10_000);
  });

  it('loses only the event that cannot be stored', async () => {
    const { db } = server.base;
    const lines: string[] = [];
    const rejecting = {
      auditEvent: {
        createMany: () => Promise.reject(Object.assign(new Error('unstorable'), { code: 'P2039' })),
        create: (input: { data: { clientId: string } }) =>
          input.data.clientId === 'bad'
            ? Promise.reject(new Error('unstorable'))
            : db.auditEvent.create(input as never),
      },
    } as never;
    const log = createLog('info', { write: (line) => lines.push(line) });
    const audit = createAudit({ db: rejecting, clock: systemClock, log });
    for (const clientId of ['good', 'bad', 'good']) audit.recordSoon('token.denied', { ...EVENT, clientId });
    await audit.flush();
    expect(await count({ clientId: 'good' })).toBe(2);
    expect(lines.some((line) => line.includes('was lost'))).toBe(true);
  });

  it('shortens texts from requests and replaces NUL and unpaired surrogates', async () => {
    const reason = `\0\ud800${'x'.repeat(50_000)}`;
    server.core.audit.recordSoon('token.denied', { ...EVENT, clientId: 'invalid-text', detail: { reason } });
    await server.core.audit.flush();
    const [entry] = await server.core.audit.list({ clientId: 'invalid-text' });
    expect((entry!.detail as { reason: string }).reason).toMatch(/^\ufffd\ufffdx{298}$/);
  });

  it('writes only actions of the list, which is sorted', async () => {
    const rows = await server.base.db.auditEvent.findMany({ distinct: ['action'], select: { action: true } });
    for (const { action } of rows) expect(AUDIT_ACTIONS).toContain(action);
    expect([...AUDIT_ACTIONS].sort()).toEqual([...AUDIT_ACTIONS]);
  });
});
