// How many clients are stored that no user has signed in to, by network and in all.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HOUR_SECONDS } from '../../../src/base/clock.js';
import { type DocumentHost, openDocumentHost } from '../../support/client-documents.js';
import { movableClock } from '../../support/movable-clock.js';
import { registerDynamically, requestRegistration } from '../../support/registration.js';
import { authorizeUrl, obtainCode, pkce, redeemCode } from '../../support/relying-party.js';
import { sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const [PER_NETWORK, TOTAL] = [5, 12];

describe.each(stores)('the limits of unused clients on $name', (store) => {
  let server: TestServer;
  let host: DocumentHost;
  const { clock, advance } = movableClock();
  beforeAll(async () => {
    host = await openDocumentHost();
    server = await startServer({
      store,
      clock,
      settings: {
        MAX_UNUSED_CLIENTS_PER_NETWORK: String(PER_NETWORK),
        MAX_UNUSED_CLIENTS: String(TOTAL),
        TRUSTED_PROXIES: '127.0.0.1',
      },
    });
  });
  afterAll(async () => {
    await server.close();
    await host.close();
  });
  beforeEach(() => server.base.db.client.deleteMany());

  let networks = 0;
  /** Returns a function that returns another address of the same IPv6 /48, in a /64 of its own. */
  function network(): () => { 'x-forwarded-for': string } {
    networks += 1;
    const prefix = `2001:db8:${networks.toString(16)}`;
    let subnets = 0;
    return () => ({ 'x-forwarded-for': `${prefix}:${(subnets++).toString(16)}::1` });
  }
  const wait = (hours: number) => advance(hours * HOUR_SECONDS * 1000);
  const register = async (from: ReturnType<typeof network>) => (await registerDynamically(server, {}, from())).id;
  const ids = async () => (await server.base.db.client.findMany()).map(({ id }) => id);
  async function registerMany(count: number, from: ReturnType<typeof network>): Promise<string[]> {
    const registered: string[] = [];
    for (let n = 0; n < count; n += 1) registered.push(await register(from));
    return registered;
  }

  it('reject a burst of one network with a text that names the limit, and no other network', async () => {
    const attacker = network();
    await registerMany(PER_NETWORK, attacker);
    server.lines.length = 0;
    const { status, json, headers } = await requestRegistration(server, {}, attacker());
    expect([status, json.error]).toEqual([429, 'temporarily_unavailable']);
    expect(json.error_description).toBe(
      'this network has 5 clients with which no user has signed in; use one of them, or try again in an hour',
    );
    expect(Number(headers['retry-after'])).toBe(HOUR_SECONDS);
    expect(server.lines.join()).toContain('the limit of unused clients is reached');
    await register(network());
    expect(await server.base.db.client.count()).toBe(PER_NETWORK + 1);
  });

  it('delete the oldest client of the network that is older than an hour', async () => {
    const from = network();
    const [oldest, ...others] = await registerMany(PER_NETWORK, from);
    const other = await register(network());
    wait(1.1);
    const next = await register(from);
    expect((await ids()).sort()).toEqual([...others, other, next].sort());
    const [event] = await server.core.audit.list({ action: 'client.removed_unused', clientId: oldest! });
    expect(event).toMatchObject({ actorKind: 'system', detail: { reason: 'limit' } });
  });

  it('delete the oldest client of all networks, and are never closed to other networks by old ones', async () => {
    const attackers = [network(), network(), network()];
    const [first] = await registerMany(4, attackers[0]!);
    for (const attacker of attackers.slice(1)) await registerMany(4, attacker);
    const young = await requestRegistration(server, {}, network()());
    expect([young.status, young.json.error]).toEqual([429, 'temporarily_unavailable']);
    expect(young.json.error_description).toMatch(/^this server has 12 clients with which no user has signed in;/);
    wait(1.1);
    const next = await register(network());
    expect(await ids()).toHaveLength(TOTAL);
    expect(await ids()).toContain(next);
    expect(await ids()).not.toContain(first);
  });

  it('count no client that a user has signed in to, and store its network no longer', async () => {
    const from = network();
    const { email } = await server.account();
    const used = [];
    for (let n = 0; n < PER_NETWORK; n += 1) used.push(await registerDynamically(server, {}, from()));
    expect(await server.base.db.client.count({ where: { network: { not: null } } })).toBe(PER_NETWORK);
    for (const client of used) {
      const { status } = await redeemCode(server, client, await obtainCode(server, client, email));
      expect(status).toBe(200);
    }
    await server.core.clientUsage.flush();
    expect(await server.base.db.client.count({ where: { network: { not: null } } })).toBe(0);
    wait(1.1);
    await registerMany(PER_NETWORK, from);
    expect(await ids()).toEqual(expect.arrayContaining(used.map(({ id }) => id)));
  });

  it('delete a client during an authorization last, and one of an administrator never', async () => {
    const from = network();
    const admin = await server.client();
    const [authorizing, ...others] = await registerMany(PER_NETWORK, from);
    wait(1.1);
    const authorize = () => fetch(authorizeUrl(server, { id: authorizing! }, pkce().challenge), { redirect: 'manual' });
    expect((await authorize()).status).toBe(303);
    const next = await register(from);
    expect((await ids()).sort()).toEqual([admin.id, authorizing, ...others.slice(1), next].sort());
    wait(1);
    await authorize();
    await server.base.db.client.updateMany({
      where: { id: { not: authorizing } },
      data: { lastAuthorizationAt: clock.now() },
    });
    const last = await register(from);
    expect((await ids()).sort()).toEqual([admin.id, ...others.slice(1), next, last].sort());
  });

  it('keep a client with a consent, whose last use was lost in a crash', async () => {
    const from = network();
    const { id: accountId } = await server.account();
    const [consented, second] = await registerMany(PER_NETWORK, from);
    await server.base.db.consent.create({ data: { accountId, clientId: consented!, scopes: {} } });
    wait(1.1);
    await register(from);
    expect(await ids()).toContain(consented);
    expect(await ids()).not.toContain(second);
  });

  it('apply to clients with a metadata document', async () => {
    const from = network();
    await registerMany(PER_NETWORK, from);
    const authorize = () =>
      sendRequest(server, 'GET', authorizeUrl({ origin: '' }, { id: document }, pkce().challenge), from());
    const document = host.serveClient();
    const rejected = await authorize();
    expect(rejected.status).toBe(429);
    expect(rejected.text).toContain('This network has 5 clients with which no user has signed in');
    wait(1.1);
    expect((await authorize()).status).toBe(303);
    expect(await ids()).toContain(document);
    expect(await ids()).toHaveLength(PER_NETWORK);
  });

  it('are exceeded by no more than the concurrent registrations', async () => {
    const from = network();
    const statuses = (await Promise.all(Array.from({ length: 20 }, () => requestRegistration(server, {}, from())))).map(
      ({ status }) => status,
    );
    expect(statuses).toContain(201);
    expect(statuses.every((status) => [201, 429].includes(status))).toBe(true);
    wait(1.1);
    for (let n = 0; n < 3; n += 1) await register(from);
    expect(await ids()).toHaveLength(PER_NETWORK);
  });

  it('do not reject the update of a client (RFC 7592)', async () => {
    const from = network();
    const { id, managementToken, metadata } = await registerDynamically(server, {}, from());
    await registerMany(PER_NETWORK - 1, from);
    const members = { client_id: id, redirect_uris: metadata.redirect_uris };
    const { status, text } = await sendRequest(
      server,
      'PUT',
      `/oauth/clients/register/${id}`,
      { ...from(), authorization: `Bearer ${managementToken}`, 'content-type': 'application/json' },
      JSON.stringify({ ...members, client_name: 'Renamed' }),
    );
    expect(status, text).toBe(200);
  });
});
