// Creation of the first administrator.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { Browser } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

describe.each(stores)('bootstrapping on $name', (store) => {
  let server: TestServer;
  const { clock, advance, reset } = movableClock();
  beforeEach(async () => {
    server = await startServer({ store, clock });
  });
  afterEach(async () => {
    reset();
    await server.close();
  });

  const countAdmins = () => server.base.db.account.count({ where: { role: 'admin' } });
  const ada = (n = 1) => ({ email: `ada${n}@example.com`, name: 'Ada', password: PASSWORD });

  it('creates an administrator with a setup link that can be used once', async () => {
    const link = `/setup?token=${await server.core.bootstrap.createToken()}`;
    const browser = new Browser(server.origin);
    const page = await browser.submit(await browser.open(link), ada());
    expect([page.status, page.url.pathname]).toEqual([200, '/account']);
    expect(await server.core.accounts.findByEmail('ada1@example.com')).toMatchObject({
      role: 'admin',
      emailVerified: true,
    });
    expect((await new Browser(server.origin).open(link)).status).toBe(401);
    expect(await server.core.bootstrap.createToken()).toBeUndefined();
    const actions = (await server.core.audit.list()).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['setup.link_created', 'setup.completed', 'account.created']));
  });

  it('creates one administrator when concurrent requests use one link', async () => {
    const token = (await server.core.bootstrap.createToken())!;
    const results = await Promise.allSettled(
      [1, 2, 3].map((n) => server.core.bootstrap.complete(token, ada(n), systemMeta)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await server.base.db.account.count()).toBe(1);
    expect(await countAdmins()).toBe(1);
  });

  it('creates one administrator when concurrent requests use links of several processes', async () => {
    const tokens: string[] = [];
    for (let n = 0; n < 4; n += 1) tokens.push((await server.core.bootstrap.createToken())!);
    const results = await Promise.allSettled(
      tokens.map((token, n) => server.core.bootstrap.complete(token, ada(n), systemMeta)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 401, code: 'invalid_token' });
    expect(await countAdmins()).toBe(1);
  });

  it('accepts the links of the last five starts until they expire', async () => {
    const { bootstrap } = server.core;
    const tokens: string[] = [];
    for (let n = 0; n < 7; n += 1) {
      tokens.push((await bootstrap.createToken())!);
      advance(MINUTE_MS);
    }
    const valid = async () => Promise.all([...tokens, 'x'].map((token) => bootstrap.isValid(token)));
    expect(await valid()).toEqual([false, false, true, true, true, true, true, false]);
    advance(DAY_MS - 1.5 * MINUTE_MS); // a day after the sixth token
    expect(await valid()).toEqual([false, false, false, false, false, false, true, false]);
    await expect(bootstrap.complete(tokens[5]!, ada(), systemMeta)).rejects.toMatchObject({ status: 401 });
    expect(await countAdmins()).toBe(0);
    await bootstrap.complete(tokens[6]!, ada(), systemMeta);
    expect(await valid()).toEqual(Array(8).fill(false));
  });

  it('rejects all links once there is an administrator', async () => {
    const token = (await server.core.bootstrap.createToken())!;
    await server.core.bootstrap.bootstrap(ada());
    expect(await server.core.bootstrap.isValid(token)).toBe(false);
    await expect(server.core.bootstrap.complete(token, ada(2), systemMeta)).rejects.toMatchObject({ status: 401 });
    expect(await countAdmins()).toBe(1);
  });

  it('keeps the link valid when the form has errors', async () => {
    const token = (await server.core.bootstrap.createToken())!;
    await expect(
      server.core.bootstrap.complete(token, { ...ada(), password: 'short' }, systemMeta),
    ).rejects.toMatchObject({ status: 400 });
    expect(await server.core.bootstrap.isValid(token)).toBe(true);
  });

  it('creates one administrator when servers with the same configuration start together', async () => {
    const secondServer = await startServer({ sharedWith: server });
    try {
      const created = await Promise.all([server, secondServer].map(({ core }) => core.bootstrap.bootstrap(ada())));
      expect(created.filter(Boolean)).toHaveLength(1);
      expect(await server.core.bootstrap.bootstrap(ada(2))).toBeUndefined();
      expect(await countAdmins()).toBe(1);
    } finally {
      await secondServer.close();
    }
  });
});
