// Cleanup of unused clients: which are deleted, and that none is deleted while it is in use.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addSeconds, DAY_SECONDS } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { Browser } from '../../support/browser.js';
import { type DocumentHost, openDocumentHost } from '../../support/client-documents.js';
import { registerDynamically } from '../../support/registration.js';
import { authorizeUrl, isActive, obtainCode, pkce, redeemCode, signInAndConsent } from '../../support/relying-party.js';
import { postForm } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('self-registered clients on $name', (store) => {
  let server: TestServer;
  let host: DocumentHost;
  let now: Date;
  const clock = { now: () => now };
  beforeAll(async () => {
    now = new Date();
    host = await openDocumentHost();
    const settings = { UNUSED_CLIENT_TTL: '7d', IDLE_CLIENT_TTL: '20d', TRUSTED_PROXIES: '127.0.0.1' };
    server = await startServer({ store, clock, settings });
  });
  afterAll(async () => {
    await server.close();
    await host.close();
  });
  beforeEach(async () => {
    now = addSeconds(now, 400 * DAY_SECONDS);
    await server.core.unusedClients.removeUnused();
  });

  const wait = (days: number) => {
    now = addSeconds(now, days * DAY_SECONDS);
  };
  const isThere = async (id: string) => (await server.base.db.client.count({ where: { id } })) === 1;
  const removeUnused = async () =>
    (await server.core.unusedClients.removeUnused()).map(({ client, reason }) => [client.id, reason]);
  /** Signs a user in to the client. */
  async function use(client: { id: string; secret: string }, email: string, more: Record<string, string> = {}) {
    const { status, body } = await redeemCode(server, client, await obtainCode(server, client, email, more));
    expect(status, JSON.stringify(body)).toBe(200);
    await server.core.clientUsage.flush();
    return body;
  }

  it('are deleted and audited when no user ever signed in, unlike those of administrators', async () => {
    const admin = await server.client();
    const unused = await registerDynamically(server);
    const document = host.serveClient();
    await fetch(authorizeUrl(server, { id: document }, pkce().challenge));
    const { email } = await server.account();
    const used = await registerDynamically(server);
    await use(used, email);
    wait(6.9);
    expect(await removeUnused()).toEqual([]);
    wait(0.2);
    const due = (await server.core.unusedClients.find()).map(({ client }) => client.id);
    expect(due.sort()).toEqual([unused.id, document].sort());
    expect(await isThere(unused.id), 'a dry run deletes nothing').toBe(true);
    expect((await removeUnused()).sort()).toEqual([unused.id, document].sort().map((id) => [id, 'unused']));
    for (const [id, stays] of [
      [unused.id, false],
      [document, false],
      [used.id, true],
      [admin.id, true],
    ] as const)
      expect(await isThere(id), id).toBe(stays);
    const [entry] = await server.core.audit.list({ clientId: unused.id, action: 'client.removed_unused' });
    expect(entry).toMatchObject({ actorKind: 'system', detail: { reason: 'unused' } });
    expect((await postForm(server, '/oauth/introspect', { token: 'x' }, { client: unused })).status).toBe(401);
    wait(400);
    await server.core.unusedClients.removeUnused();
    expect(await isThere(admin.id)).toBe(true);
  });

  it('are deleted when idle for long and without an active grant', async () => {
    const { email } = await server.account();
    const [idle, held] = [await registerDynamically(server), await registerDynamically(server)];
    await use(idle, email);
    await use(held, email, { scope: 'openid offline_access', prompt: 'consent' });
    await server.base.db.grant.updateMany({
      where: { clientId: held.id },
      data: { expiresAt: addSeconds(now, 30 * DAY_SECONDS) },
    });
    wait(19.9);
    expect(await removeUnused()).toEqual([]);
    wait(0.2);
    expect(await removeUnused()).toEqual([[idle.id, 'idle']]);
    wait(10);
    expect(await removeUnused()).toEqual([[held.id, 'idle']]);
  });

  it('are recorded as used, at a limited rate', async () => {
    const client = await registerDynamically(server);
    const { email } = await server.account();
    const lastUsedAt = async () => (await server.base.db.client.findUnique({ where: { id: client.id } }))?.lastUsedAt;
    expect(await lastUsedAt()).toBeNull();
    await use(client, email);
    const first = now;
    expect(await lastUsedAt()).toEqual(first);
    now = addSeconds(now, 9 * 60);
    await use(client, email);
    expect(await lastUsedAt()).toEqual(first);
    now = addSeconds(now, 2 * 60);
    await use(client, email);
    expect(await lastUsedAt()).toEqual(now);
  });

  it('are kept during an authorization, also with a device code or a pushed request', async () => {
    const { email } = await server.account();
    const device = 'urn:ietf:params:oauth:grant-type:device_code';
    const grants = ['authorization_code', 'refresh_token', device];
    const [page, pushed, television] = [
      await registerDynamically(server),
      await registerDynamically(server),
      await registerDynamically(server, { grant_types: grants }),
    ];
    wait(8);
    const browser = new Browser(server.origin);
    const { challenge, verifier } = pkce();
    const login = await browser.open(authorizeUrl(server, page, challenge));
    const query = Object.fromEntries(new URL(authorizeUrl(server, pushed, challenge)).searchParams);
    expect((await postForm(server, '/oauth/par', query, { client: pushed })).status).toBe(201);
    expect((await postForm(server, '/oauth/device', { scope: 'openid' }, { client: television })).status).toBe(200);
    expect(await removeUnused()).toEqual([]);
    const code = (await signInAndConsent(browser, login, email)).searchParams.get('code')!;
    const { body } = await redeemCode(server, page, { code, verifier });
    expect(await isActive(server, body.access_token!)).toBe(true);
    await server.core.clientUsage.flush();
    wait(0.1);
    expect((await removeUnused()).sort()).toEqual([pushed.id, television.id].sort().map((id) => [id, 'unused']));
  });

  it('are either kept or gone for an authorization that begins concurrently', async () => {
    const clients = [];
    for (let n = 0; n < 12; n += 1) clients.push(await registerDynamically(server));
    wait(8);
    const startsFamily = clients.map(({ id }) => server.core.clientUsage.recordAuthorization(id));
    const [begun] = await Promise.all([
      Promise.all(startsFamily),
      server.core.unusedClients.removeUnused(),
      server.core.unusedClients.removeUnused(),
    ]);
    for (const [n, { id }] of clients.entries()) expect(await isThere(id), `client ${n}`).toBe(begun[n]);
  });

  it('are kept when a user signs in concurrently without a consent page', async () => {
    const { email } = await server.account();
    const client = await registerDynamically(server);
    const browser = new Browser(server.origin);
    await obtainCode(server, client, email, {}, browser);
    await server.core.clientUsage.flush();
    await server.base.db.grant.deleteMany({ where: { clientId: client.id } });
    wait(10);
    await browser.open('/account'); // the session stays active
    wait(10.1);
    await browser.signIn(email, 'correct horse battery');
    const { challenge } = pkce();
    const [url, gone] = await Promise.all([
      signInAndConsent(browser, authorizeUrl(server, client, challenge), email).catch((error: Error) => error),
      server.core.unusedClients.removeUnused(),
    ]);
    const wasLetIn = url instanceof URL && url.searchParams.has('code');
    const grants = await server.base.db.grant.count({ where: { clientId: client.id } });
    expect([await isThere(client.id), grants]).toEqual(wasLetIn && gone.length === 0 ? [true, 1] : [false, 0]);
  });

  it('are logged with their number by the cleanup job', async () => {
    await registerDynamically(server);
    await registerDynamically(server);
    wait(8);
    server.lines.length = 0;
    await server.core.cleanup.run();
    const lines = server.lines.map((line) => JSON.parse(line) as { msg: string; count?: number });
    expect(lines.find(({ msg }) => msg === 'unused clients were deleted')?.count).toBe(2);
  });

  it('are kept forever when the cleanup is disabled', async () => {
    const settings = { UNUSED_CLIENT_TTL: '0s', IDLE_CLIENT_TTL: '0s' };
    const secondServer = await startServer({ sharedWith: server, clock, settings });
    try {
      const client = await registerDynamically(server);
      wait(1000);
      expect(await secondServer.core.unusedClients.removeUnused(systemMeta)).toEqual([]);
      expect(await isThere(client.id)).toBe(true);
    } finally {
      await secondServer.close();
    }
  });
});
