// All stored data has an expiry and is deleted after it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import { movableClock } from '../../support/movable-clock.js';
import { registerDynamically } from '../../support/registration.js';
import { authorizeUrl, pkce, refresh } from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily, revoke } from '../../support/token-family.js';

describe.each(stores)('the retention of stored data on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  const inSeconds = (seconds: number) => addSeconds(new Date(), seconds);
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  it('is limited for everything that a sign-in and its tokens store', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const family = await openTokenFamily(server, client, email);
    await refresh(server, client, family.refreshToken);
    await refresh(server, client, family.refreshToken); // a retry within the reuse interval
    await revoke(server, client, family.accessToken);
    await sendRequest(server, 'GET', authorizeUrl({ origin: '' }, client, pkce().challenge));
    await registerDynamically(server);
    await postForm(server, '/login', { email, password: 'wrong' });
    const { db, redis } = server.base;
    // The columns cannot be null, so an expiry in the far future is the failure to look for.
    const horizon = addSeconds(new Date(), 31 * 86_400);
    for (const table of [db.oidcArtifact, db.grant, db.refreshToken, db.oneTimeToken, db.session]) {
      const permanent = await (table as typeof db.grant).count({ where: { expiresAt: { gt: horizon } } });
      expect(permanent).toBe(0);
    }
    expect(await db.rateLimit.count({ where: { expire: null } })).toBe(0);
    expect(await db.refreshToken.count()).toBeGreaterThan(0);
    if (!redis) return;
    const keys = await redis.keys(`${server.config.redisPrefix}*`);
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });

  it('ends with the deletion of expired rows, and of no others', async () => {
    const { db } = server.base;
    const { id: accountId } = await server.account();
    const [soon, far] = [inSeconds(3600), inSeconds(7200)];
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
    await db.grant.create({ data: { ...grant, id: 'g-expired', expiresAt: soon } });
    await db.refreshToken.create({ data: { id: 'r-of-expired', grantId: 'g-expired', payload: {}, expiresAt: far } });

    await later(5400_000, () => server.core.cleanup.sweepAll());
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

  it('is a day for consumed tokens, and longer for the usable token of the family', async () => {
    const client = await server.client();
    const { email } = await server.account();
    let { refreshToken } = await openTokenFamily(server, client, email);
    const id = server.core.oauthStorage.idOf(refreshToken);
    const { grantId } = await server.base.db.refreshToken.findUniqueOrThrow({ where: { id } });
    for (let n = 0; n < 5; n += 1)
      refreshToken = String((await refresh(server, client, refreshToken)).body.refresh_token);
    const { refreshToken: tokens } = server.base.db;
    expect(await tokens.count({ where: { grantId } })).toBe(6);
    await later(25 * 3600_000, () => server.core.cleanup.sweepAll());
    expect(await tokens.count({ where: { grantId } })).toBe(1);
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  });
});
