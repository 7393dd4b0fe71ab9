// What every store of artifacts keeps to, whether it is the database or Redis; and that nothing in
// it stays for ever.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import type { EphemeralStore } from '../../../src/core/oauth-storage/store.js';
import { authorizeUrl, pkce, refresh } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { atOnce, openFamily, revoke } from '../../support/token-family.js';

describe.each(stores)('the store of artifacts on $name', (engine) => {
  let server: TestServer;
  let store: EphemeralStore;
  let aheadMs = 0;
  const later = (seconds = 60) => addSeconds(new Date(), seconds);
  beforeAll(async () => {
    server = await startServer({ store: engine, clock: { now: () => new Date(Date.now() + aheadMs) } });
    store = server.core.oauthStorage.store;
  });
  afterAll(() => server.close());

  it('gives back what was put, and keeps kinds apart', async () => {
    const id = randomUUID();
    const payload = { a: 1, b: ['ü', null, { c: true }] };
    await store.put('One', id, payload, { expiresAt: later() });
    expect(await store.get('One', id)).toEqual({ id, payload, consumedAt: undefined });
    expect(await store.get('Other', id)).toBeUndefined();
    expect(await store.get('One', randomUUID())).toBeUndefined();
  });

  it('overwrites, but what was consumed stays consumed', async () => {
    const id = randomUUID();
    await store.put('One', id, { n: 1 }, { expiresAt: later() });
    expect(await store.consume('One', id)).toBe(true);
    await store.put('One', id, { n: 2 }, { expiresAt: later() });
    expect(await store.get('One', id)).toMatchObject({ payload: { n: 2 }, consumedAt: expect.any(Date) });
    expect(await store.consume('One', id)).toBe(false);
  });

  it('finds by uid and by user code, within a kind', async () => {
    const [id, uid, userCode] = [randomUUID(), randomUUID(), randomUUID()];
    await store.put('One', id, { n: 1 }, { expiresAt: later(), uid, userCode });
    expect((await store.getByUid('One', uid))?.id).toBe(id);
    expect((await store.getByUserCode('One', userCode))?.id).toBe(id);
    expect(await store.getByUid('Other', uid)).toBeUndefined();
    expect(await store.getByUserCode('Other', userCode)).toBeUndefined();
    expect(await store.getByUid('One', userCode)).toBeUndefined();
    await store.remove('One', id);
    expect(await store.getByUid('One', uid)).toBeUndefined();
    expect(await store.getByUserCode('One', userCode)).toBeUndefined();
  });

  it('lets one of 50 simultaneous calls consume', async () => {
    const id = randomUUID();
    await store.put('One', id, {}, { expiresAt: later() });
    const won = await atOnce(50, () => store.consume('One', id));
    expect(won.filter(Boolean)).toHaveLength(1);
  });

  it('consumes nothing that is not there, was removed or has expired', async () => {
    expect(await store.consume('One', randomUUID())).toBe(false);
    const removed = randomUUID();
    await store.put('One', removed, {}, { expiresAt: later() });
    await store.remove('One', removed);
    expect(await store.consume('One', removed)).toBe(false);
    expect(await store.get('One', removed)).toBeUndefined();
    const expired = randomUUID();
    await store.put('One', expired, {}, { expiresAt: addSeconds(new Date(), 0.05) });
    await sleep(80);
    expect(await store.consume('One', expired)).toBe(false);
    expect(await store.get('One', expired)).toBeUndefined();
  });

  it('does not find what has expired by any of its names', async () => {
    const [id, uid, userCode] = [randomUUID(), randomUUID(), randomUUID()];
    await store.put('One', id, {}, { expiresAt: addSeconds(new Date(), 0.05), uid, userCode });
    await sleep(80);
    expect(await store.get('One', id)).toBeUndefined();
    expect(await store.getByUid('One', uid)).toBeUndefined();
    expect(await store.getByUserCode('One', userCode)).toBeUndefined();
  });

  it('marks once, also when 50 try, and again when the mark has expired', async () => {
    const id = randomUUID();
    const won = await atOnce(50, () => store.useOnce('Mark', id, addSeconds(new Date(), 1.5)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await store.useOnce('Mark', id, later())).toBe(false);
    await sleep(1600);
    const again = await atOnce(50, () => store.useOnce('Mark', id, later()));
    expect(again.filter(Boolean)).toHaveLength(1);
  });

  it('keeps marks of different kinds apart', async () => {
    const id = randomUUID();
    expect(await store.useOnce('Mark', id, later())).toBe(true);
    expect(await store.useOnce('Other', id, later())).toBe(true);
  });

  it('removes what is not there without a word', async () => {
    await expect(store.remove('One', randomUUID())).resolves.toBeUndefined();
  });

  it('gives everything that a whole journey leaves an end', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const family = await openFamily(server, client, email);
    await refresh(server, client, family.refreshToken);
    await refresh(server, client, family.refreshToken); // a retry
    await revoke(server, client, family.accessToken);
    await fetch(authorizeUrl(server, client, pkce().challenge), { redirect: 'manual' });
    await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://a.example/cb'] }),
    });
    await fetch(`${server.origin}/login`, { method: 'POST', body: new URLSearchParams({ email, password: 'wrong' }) });
    const { db, redis } = server.base;
    // The columns cannot be empty; far away is as bad as never.
    const horizon = addSeconds(new Date(), 31 * 86_400);
    for (const table of [db.oidcArtifact, db.grant, db.refreshToken, db.oneTimeToken, db.session]) {
      const everlasting = await (table as typeof db.grant).count({ where: { expiresAt: { gt: horizon } } });
      expect(everlasting).toBe(0);
    }
    expect(await db.rateLimit.count({ where: { expire: null } })).toBe(0);
    expect(await db.refreshToken.count()).toBeGreaterThan(0);
    if (!redis) return;
    const keys = await redis.keys(`${server.config.redisPrefix}*`);
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });

  it('sweeps what has expired, and nothing else', async () => {
    const { db } = server.base;
    const { id: accountId } = await server.account();
    const [soon, far] = [later(3600), later(7200)];
    const grant = { accountId, clientId: 'c', payload: {} };
    for (const [name, expiresAt] of [
      ['old', soon],
      ['new', far],
    ] as const) {
      await db.oidcArtifact.create({ data: { kind: 'Swept', id: name, payload: {}, expiresAt } });
      await db.grant.create({ data: { ...grant, id: `g-${name}`, expiresAt: far } });
      await db.refreshToken.create({ data: { id: `r-${name}`, grantId: `g-${name}`, payload: {}, expiresAt } });
      await db.oneTimeToken.create({ data: { tokenHash: name, purpose: 'setup', expiresAt } });
      await db.rateLimit.create({ data: { key: name, expire: BigInt(expiresAt.getTime()) } });
      await db.session.create({
        data: {
          accountId,
          channel: 'browser',
          authTime: new Date(),
          amr: [],
          expiresAt: addSeconds(expiresAt, -90 * 86_400),
        },
      });
    }
    await db.grant.create({ data: { ...grant, id: 'g-dead', expiresAt: soon } });
    await db.refreshToken.create({ data: { id: 'r-dead', grantId: 'g-dead', payload: {}, expiresAt: far } });

    aheadMs = 5400_000;
    try {
      await server.core.cleanup.sweepAll();
    } finally {
      aheadMs = 0;
    }
    expect(await db.oidcArtifact.findMany({ where: { kind: 'Swept' }, select: { id: true } })).toEqual([{ id: 'new' }]);
    const ids = { select: { id: true }, orderBy: { id: 'asc' } } as const;
    expect(await db.grant.findMany({ where: { clientId: 'c' }, ...ids })).toEqual([{ id: 'g-new' }, { id: 'g-old' }]);
    expect(await db.refreshToken.findMany({ where: { id: { startsWith: 'r-' } }, ...ids })).toEqual([{ id: 'r-new' }]);
    expect(await db.oneTimeToken.findMany({ select: { tokenHash: true } })).toEqual([{ tokenHash: 'new' }]);
    expect(await db.rateLimit.findMany({ where: { key: { in: ['old', 'new'] } }, select: { key: true } })).toEqual([
      { key: 'new' },
    ]);
    expect(await db.session.count({ where: { accountId } })).toBe(1);
    expect(await server.core.accounts.find(accountId)).not.toBeNull();
  });

  it('does not let a family grow with each refresh of the day: long spent tokens go, the living one stays', async () => {
    const client = await server.client();
    const { email } = await server.account();
    let { refreshToken } = await openFamily(server, client, email);
    const id = server.core.oauthStorage.idOf(refreshToken);
    const { grantId } = await server.base.db.refreshToken.findUniqueOrThrow({ where: { id } });
    for (let n = 0; n < 5; n += 1)
      refreshToken = String((await refresh(server, client, refreshToken)).body.refresh_token);
    const { refreshToken: tokens } = server.base.db;
    expect(await tokens.count({ where: { grantId } })).toBe(6);
    aheadMs = 25 * 3600_000;
    try {
      await server.core.cleanup.sweepAll();
    } finally {
      aheadMs = 0;
    }
    expect(await tokens.count({ where: { grantId } })).toBe(1);
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  });
});
