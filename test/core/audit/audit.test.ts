// The audit trail: written with its verb or not at all, and never in the way of an answer.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.js';
import { createLog } from '../../../src/base/log.js';
import { createAudit } from '../../../src/core/audit/audit.js';
import { AUDIT_ACTIONS } from '../../../src/core/audit/events.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const ENTRY = { action: 'token.refused', actor: { kind: 'anonymous' } } as const;

describe.each(stores)('the audit trail on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const count = (where: object = {}) => server.base.db.auditEvent.count({ where });

  it('is there with its verb, or not at all', async () => {
    const { db } = server.base;
    const failing = db.$transaction(async (tx) => {
      await server.core.audit.record({ ...ENTRY, clientId: 'undone' }, tx);
      throw new Error('the verb failed');
    });
    await expect(failing).rejects.toThrow('the verb failed');
    expect(await count({ clientId: 'undone' })).toBe(0);
    const input = { email: 'twice@example.com', password: PASSWORD };
    const { id } = await server.core.accounts.create(input, systemMeta);
    await expect(server.core.accounts.create(input, systemMeta)).rejects.toMatchObject({ status: 409 });
    expect(await count({ action: 'account.created', accountId: id })).toBe(1);
  });

  it('tells who, whom, from where and when', async () => {
    const meta = { address: '192.0.2.1', userAgent: 'Browser', requestId: 'r-1' };
    const actor = { kind: 'client', id: 'c-1' } as const;
    await server.core.audit.record({ action: 'token.revoked', actor, meta, accountId: 'a-1', detail: { n: 1 } });
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

  it('writes within a second what a listener heard', async () => {
    for (let n = 0; n < 50; n += 1) server.core.audit.recordSoon({ ...ENTRY, clientId: 'soon' });
    expect(await count({ clientId: 'soon' })).toBe(0);
    await expect.poll(() => count({ clientId: 'soon' }), { timeout: 5000 }).toBe(50);
    server.core.audit.recordSoon({ ...ENTRY, clientId: 'flushed' });
    await server.core.audit.flush();
    expect(await count({ clientId: 'flushed' })).toBe(1);
  });

  it('never throws while the database is away, and writes later', async () => {
    const { db } = server.base;
    let away = true;
    const lines: string[] = [];
    const flaky = {
      auditEvent: {
        createMany: (input: never) =>
          away ? Promise.reject(Object.assign(new Error('away'), { code: 'P1001' })) : db.auditEvent.createMany(input),
      },
    } as never;
    const log = createLog('info', { write: (line) => lines.push(line) });
    const audit = createAudit({ db: flaky, clock: systemClock, log });
    for (let n = 0; n < 10_050; n += 1) audit.recordSoon({ ...ENTRY, clientId: 'later' });
    await expect(audit.flush()).resolves.toBeUndefined();
    expect(lines.some((line) => line.includes('the audit buffer is full'))).toBe(true);
    expect(lines.some((line) => line.includes('cannot be written'))).toBe(true);
    away = false;
    await audit.flush();
    expect(await count({ clientId: 'later' })).toBe(10_000);
  });

  it('loses the one entry that cannot be stored, and no other', async () => {
    const { db } = server.base;
    const lines: string[] = [];
    const picky = {
      auditEvent: {
        createMany: () => Promise.reject(Object.assign(new Error('unstorable'), { code: 'P2039' })),
        create: (input: { data: { clientId: string } }) =>
          input.data.clientId === 'bad'
            ? Promise.reject(new Error('unstorable'))
            : db.auditEvent.create(input as never),
      },
    } as never;
    const log = createLog('info', { write: (line) => lines.push(line) });
    const audit = createAudit({ db: picky, clock: systemClock, log });
    for (const clientId of ['good', 'bad', 'good']) audit.recordSoon({ ...ENTRY, clientId });
    await audit.flush();
    expect(await count({ clientId: 'good' })).toBe(2);
    expect(lines.some((line) => line.includes('was lost'))).toBe(true);
  });

  it('takes whatever a request holds, shortened and without NUL', async () => {
    const reason = `\0\ud800${'x'.repeat(50_000)}`;
    server.core.audit.recordSoon({ ...ENTRY, clientId: 'odd', detail: { reason } });
    await server.core.audit.flush();
    const [entry] = await server.core.audit.list({ clientId: 'odd' });
    expect((entry!.detail as { reason: string }).reason).toMatch(/^\ufffd\ufffdx{298}$/);
  });

  it('knows no action that nobody named', async () => {
    const rows = await server.base.db.auditEvent.findMany({ distinct: ['action'], select: { action: true } });
    for (const { action } of rows) expect(AUDIT_ACTIONS).toContain(action);
    expect([...AUDIT_ACTIONS].sort()).toEqual([...AUDIT_ACTIONS]);
  });
});
