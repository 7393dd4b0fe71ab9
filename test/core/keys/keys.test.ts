// Signing keys: created once, rotated in stages, shared by all processes, sealed with the secret.
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DAY_SECONDS } from '../../../src/base/clock.js';
import { AGENT_TOKEN_SECONDS } from '../../../src/core/agents/tokens.js';
import { PUBLISH_LEAD_SECONDS } from '../../../src/core/keys/keys.js';
import { movableClock } from '../../support/movable-clock.js';
import { requestToken, type TestClient } from '../../support/relying-party.js';
import { sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect } from '../../support/token-family.js';

const SECRET = 'the master secret of these tests, 1';
const LEAD_MS = (PUBLISH_LEAD_SECONDS + 1) * 1000;

describe.each(stores)('the signing key service on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  let client: TestClient;
  const { clock, advance, reset } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock, settings: { SECRET } });
    secondServer = await startServer({ sharedWith: server, clock, settings: { SECRET } });
    client = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });
  afterEach(reset);

  async function publishedKids(at: TestServer = server): Promise<string[]> {
    const { json } = await sendRequest(at, 'GET', '/oauth/jwks');
    return (json.keys as { kid: string }[]).map(({ kid }) => kid).sort();
  }

  async function issue(at: TestServer = server): Promise<{ jwt: string; kid: string }> {
    const resource = `${server.issuer}/api/v1`;
    const { body } = await requestToken(at, client, { grant_type: 'client_credentials', resource });
    return { jwt: body.access_token!, kid: String(decodeProtectedHeader(body.access_token!).kid) };
  }

  const isActive = async (jwt: string, at = server) => (await introspect(at, client, jwt)).body.active;

  it('creates one key per algorithm, stores it encrypted, and publishes only the public part', async () => {
    const rows = await server.base.db.signingKey.findMany();
    expect(rows.map(({ algorithm }) => algorithm).sort()).toEqual(['ES256', 'RS256']);
    expect(await publishedKids()).toEqual(rows.map(({ kid }) => kid).sort());
    const { d } = server.core.keys.signer('ES256').jwk;
    expect(JSON.stringify(rows)).not.toContain(d);
    expect((await sendRequest(server, 'GET', '/oauth/jwks')).text).not.toContain(d);
  });

  it('publishes a key before it signs, and deletes it after its last token has expired', async () => {
    const before = await issue();
    const fresh = await server.core.keys.rotate();
    expect(await publishedKids()).toEqual(expect.arrayContaining([...fresh, before.kid]));
    expect((await issue()).kid).toBe(before.kid);
    advance(LEAD_MS);
    const after = await issue();
    expect(fresh).toContain(after.kid);
    expect(await publishedKids()).toContain(before.kid);
    expect(await isActive(before.jwt)).toBe(true);
    expect(await isActive(after.jwt)).toBe(true);
    advance((AGENT_TOKEN_SECONDS + DAY_SECONDS + 60) * 1000); // the longest lifetime of a token
    expect(await publishedKids()).toEqual([...fresh].sort());
    expect(await server.core.keys.sweep()).toBe(2);
    expect(await server.base.db.signingKey.count()).toBe(2);
    const actions = (await server.core.audit.list()).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['key.created', 'key.rotated', 'key.retired']));
  });

  it('loads keys that another process rotated within seconds', async () => {
    advance(LEAD_MS);
    const before = await issue(secondServer);
    const fresh = await server.core.keys.rotate({ atOnce: true });
    const deadline = Date.now() + 4000;
    while (Date.now() < deadline && !fresh.includes((await issue(secondServer)).kid)) await sleep(50);
    expect(fresh).toContain((await issue(secondServer)).kid);
    expect(await publishedKids(secondServer)).toEqual([...fresh].sort());
    expect(await isActive(before.jwt, secondServer)).toBe(false);
  });

  it('rotates due keys in one of several processes', async () => {
    const count = await server.base.db.signingKey.count();
    expect(await server.core.keys.rotateIfDue()).toBe(false);
    advance(91 * DAY_SECONDS * 1000);
    const rotated = await Promise.all([server.core.keys.rotateIfDue(), secondServer.core.keys.rotateIfDue()]);
    expect(rotated.filter(Boolean)).toHaveLength(1);
    expect(await server.base.db.signingKey.count()).toBe(count + 2);
  });
});

describe.each(stores)('the start of several servers on $name', (store) => {
  it('creates one set of keys', async () => {
    const first = await startServer({ store, settings: { SECRET } });
    await first.base.db.signingKey.deleteMany();
    const others = await Promise.all([1, 2, 3].map(() => startServer({ sharedWith: first, settings: { SECRET } })));
    try {
      expect(await first.base.db.signingKey.count()).toBe(2);
      const versions = others.map(({ core }) => core.keys.set().version);
      expect(new Set(versions).size).toBe(1);
    } finally {
      for (const server of others) await server.close();
      await first.close();
    }
  });

  it('fails with a wrong SECRET, and accepts a new one together with SECRET_PREVIOUS', async () => {
    const first = await startServer({ store, settings: { SECRET } });
    const newSecret = 'the master secret of these tests, 2';
    try {
      await expect(startServer({ sharedWith: first, settings: { SECRET: newSecret } })).rejects.toThrow(
        /it was encrypted with another SECRET/,
      );
      const rotated = await startServer({
        sharedWith: first,
        settings: { SECRET: newSecret, SECRET_PREVIOUS: SECRET },
      });
      expect(rotated.core.keys.set().version).toBe(first.core.keys.set().version);
      await rotated.core.keys.rotate({ atOnce: true });
      await rotated.close();
      const restarted = await startServer({
        sharedWith: first,
        settings: { SECRET: newSecret, SECRET_PREVIOUS: SECRET },
      });
      expect(restarted.core.keys.set().keys.length).toBeGreaterThanOrEqual(2);
      await restarted.close();
    } finally {
      await first.close();
    }
  });
});
