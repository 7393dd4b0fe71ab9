// Cleanup of unused clients. It deletes no client that is in use.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DAY_SECONDS } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { Browser } from '../../support/browser.js';
import { type DocumentHost, openDocumentHost } from '../../support/client-documents.js';
import { DEVICE_GRANT } from '../../support/device.js';
import { movableClock } from '../../support/movable-clock.js';
import { registerDynamically } from '../../support/registration.js';
import { authorizeUrl, isActive, obtainCode, pkce, redeemCode, signInAndConsent } from '../../support/relying-party.js';
import { postForm } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('the cleanup of unused clients on $name', (store) => {
  let server: TestServer;
  let host: DocumentHost;
  const { clock, advance } = movableClock();
  beforeAll(async () => {
    host = await openDocumentHost();
    const settings = { UNUSED_CLIENT_TTL: '7d', IDLE_CLIENT_TTL: '20d', TRUSTED_PROXIES: '127.0.0.1' };
    server = await startServer({ store, clock, settings });
  });
  afterAll(async () => {
    await server.close();
    await host.close();
  });
  beforeEach(async () => {
    wait(400);
    await server.core.unusedClients.removeUnused();
  });

  const wait = (days: number) => advance(days * DAY_SECONDS * 1000);
  const exists = async (id: string) => (await server.base.db.client.count({ where: { id } })) === 1;
  const removeUnused = async () =>
    (await server.core.unusedClients.removeUnused()).map(({ client, reason }) => [client.id, reason]);
  /** Signs a user in to the client. */
  async function use(client: { id: string; secret: string }, email: string, more: Record<string, string> = {}) {
    const { status, body } = await redeemCode(server, client, await obtainCode(server, client, email, more));
    expect(status, JSON.stringify(body)).toBe(200);
    await server.core.clientUsage.flush();
    return body;
  }

  it('deletes and audits self-registered clients that no user signed in to, but not those of administrators', async () => {
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
    expect(await exists(unused.id), 'a dry run deletes nothing').toBe(true);
    expect((await removeUnused()).sort()).toEqual([unused.id, document].sort().map((id) => [id, 'unused']));
    for (const [id, isKept] of [
      [unused.id, false],
      [document, false],
      [used.id, true],
      [admin.id, true],
    ] as const)
      expect(await exists(id), id).toBe(isKept);
    const [entry] = await server.core.audit.list({ clientId: unused.id, action: 'client.removed_unused' });
    expect(entry).toMatchObject({ actorKind: 'system', detail: { reason: 'unused' } });
    expect((await postForm(server, '/oauth/introspect', { token: 'x' }, { client: unused })).status).toBe(401);
    wait(400);
    await server.core.unusedClients.removeUnused();
    expect(await exists(admin.id)).toBe(true);
  });

  it('deletes clients that are idle for long and have no active grant', async () => {
    const { email } = await server.account();
    const [idle, granted] = [
      await registerDynamically(server),
      await registerDynamically(server, { grant_types: ['authorization_code', 'refresh_token'] }), // a grant of 30 days
    ];
    await use(idle, email);
    await use(granted, email, { scope: 'openid offline_access', prompt: 'consent' });
    wait(19.9);
    expect(await removeUnused()).toEqual([]);
    wait(0.2);
    expect(await removeUnused()).toEqual([[idle.id, 'idle']]);
    wait(10);
    expect(await removeUnused()).toEqual([[granted.id, 'idle']]);
  });

  it('relies on a time of last use that is written at most every ten minutes', async () => {
    const client = await registerDynamically(server);
    const { email } = await server.account();
    const lastUsedAt = async () => (await server.base.db.client.findUnique({ where: { id: client.id } }))?.lastUsedAt;
    expect(await lastUsedAt()).toBeNull();
    await use(client, email);
    const first = await lastUsedAt();
    expect(first).toBeInstanceOf(Date);
    advance(9 * 60_000);
    await use(client, email);
    expect(await lastUsedAt()).toEqual(first);
    advance(2 * 60_000);
    await use(client, email);
    expect((await lastUsedAt())!.getTime()).toBeGreaterThanOrEqual(first!.getTime() + 11 * 60_000);
  });

  it('keeps clients during an authorization, also with a device code or a pushed request', async () => {
    const { email } = await server.account();
    const grants = ['authorization_code', 'refresh_token', DEVICE_GRANT];
    const [page, pushed, device] = [
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
    expect((await postForm(server, '/oauth/device', { scope: 'openid' }, { client: device })).status).toBe(200);
    expect(await removeUnused()).toEqual([]);
    const code = (await signInAndConsent(browser, login, email)).searchParams.get('code')!;
    const { body } = await redeemCode(server, page, { code, verifier });
    expect(await isActive(server, body.access_token!)).toBe(true);
    await server.core.clientUsage.flush();
    wait(0.1);
    expect((await removeUnused()).sort()).toEqual([pushed.id, device.id].sort().map((id) => [id, 'unused']));
  });

  it('either keeps or deletes a client whose authorization begins concurrently', async () => {
    const clients = [];
    for (let n = 0; n < 12; n += 1) clients.push(await registerDynamically(server));
    wait(8);
    const recording = clients.map(({ id }) => server.core.clientUsage.recordAuthorization(id));
    const [recorded] = await Promise.all([
      Promise.all(recording),
      server.core.unusedClients.removeUnused(),
      server.core.unusedClients.removeUnused(),
    ]);
    for (const [n, { id }] of clients.entries()) expect(await exists(id), `client ${n}`).toBe(recorded[n]);
  });

  it('either keeps a client or rejects a user who signs in concurrently without a consent page', async () => {
    const { email } = await server.account();
    const client = await registerDynamically(server);
    const browser = new Browser(server.origin);
    await obtainCode(server, client, email, {}, browser);
    await server.core.clientUsage.flush();
    await server.base.db.grant.deleteMany({ where: { clientId: client.id } });
    wait(10);
    await browser.open('/account'); // the session stays active
    wait(10.1);
    await browser.signIn(email, PASSWORD);
    const { challenge } = pkce();
    const [url, removed] = await Promise.all([
      signInAndConsent(browser, authorizeUrl(server, client, challenge), email).catch((error: Error) => error),
      server.core.unusedClients.removeUnused(),
    ]);
    const hasCode = url instanceof URL && url.searchParams.has('code');
    const grants = await server.base.db.grant.count({ where: { clientId: client.id } });
    expect([await exists(client.id), grants]).toEqual(hasCode && removed.length === 0 ? [true, 1] : [false, 0]);
  });

  it('logs the number of deleted clients', async () => {
    await registerDynamically(server);
    await registerDynamically(server);
    wait(8);
    server.lines.length = 0;
    await server.core.cleanup.run();
    const lines = server.lines.map((line) => JSON.parse(line) as { msg: string; count?: number });
    expect(lines.find(({ msg }) => msg === 'unused clients were deleted')?.count).toBe(2);
  });

  it('deletes nothing when it is disabled', async () => {
    const settings = { UNUSED_CLIENT_TTL: '0s', IDLE_CLIENT_TTL: '0s' };
    const secondServer = await startServer({ sharedWith: server, clock, settings });
    try {
      const client = await registerDynamically(server);
      wait(1000);
      expect(await secondServer.core.unusedClients.removeUnused(systemMeta)).toEqual([]);
      expect(await exists(client.id)).toBe(true);
    } finally {
      await secondServer.close();
    }
  });
});
