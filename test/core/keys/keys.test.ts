// Signing keys: created once, rotated in stages, shared by all processes, sealed with the secret.
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DAY_SECONDS } from '../../../src/base/clock.js';
import { AGENT_TOKEN_SECONDS } from '../../../src/core/agents/tokens.js';
import { PUBLISH_LEAD_SECONDS } from '../../../src/core/keys/keys.js';
import { requestToken, type TestClient } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect } from '../../support/token-family.js';

const SECRET = 'the master secret of these tests, 1';
const LEAD_MS = (PUBLISH_LEAD_SECONDS + 1) * 1000;

describe.each(stores)('signing keys on $name', (store) => {
  let server: TestServer;
  let beside: TestServer;
  let machine: TestClient;
  let aheadMs = 0;
  const clock = { now: () => new Date(Date.now() + aheadMs) };
  beforeAll(async () => {
    server = await startServer({ store, clock, settings: { SECRET } });
    beside = await startServer({ sharedWith: server, clock, settings: { SECRET } });
    machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
  });
  afterAll(async () => {
    await beside.close();
    await server.close();
  });
  afterEach(() => {
    aheadMs = 0;
  });

  async function published(at: TestServer = server): Promise<string[]> {
    const { keys } = (await (await fetch(`${at.origin}/oauth/jwks`)).json()) as { keys: { kid: string }[] };
    return keys.map(({ kid }) => kid).sort();
  }

  async function issue(at: TestServer = server): Promise<{ jwt: string; kid: string }> {
    const resource = `${server.issuer}/api/v1`;
    const { body } = await requestToken(at, machine, { grant_type: 'client_credentials', resource });
    return { jwt: body.access_token!, kid: String(decodeProtectedHeader(body.access_token!).kid) };
  }

  const isActive = async (jwt: string, at = server) => (await introspect(at, machine, jwt)).body.active;

  it('exist once per algorithm, stored encrypted and published without their private part', async () => {
    const rows = await server.base.db.signingKey.findMany();
    expect(rows.map(({ algorithm }) => algorithm).sort()).toEqual(['ES256', 'RS256']);
    expect(await published()).toEqual(rows.map(({ kid }) => kid).sort());
    const { d } = server.core.keys.signer('ES256').jwk;
    expect(JSON.stringify(rows)).not.toContain(d);
    expect(await (await fetch(`${server.origin}/oauth/jwks`)).text()).not.toContain(d);
  });

  it('are published, then sign, retire, and are deleted after the last token has expired', async () => {
    const before = await issue();
    const fresh = await server.core.keys.rotate();
    expect(await published()).toEqual(expect.arrayContaining([...fresh, before.kid]));
    expect((await issue()).kid).toBe(before.kid);
    aheadMs = LEAD_MS;
    const after = await issue();
    expect(fresh).toContain(after.kid);
    expect(await published()).toContain(before.kid);
    expect(await isActive(before.jwt)).toBe(true);
    expect(await isActive(after.jwt)).toBe(true);
    aheadMs = LEAD_MS + (AGENT_TOKEN_SECONDS + DAY_SECONDS + 60) * 1000; // the longest lifetime of a token
    expect(await published()).toEqual([...fresh].sort());
    expect(await server.core.keys.sweep()).toBe(2);
    expect(await server.base.db.signingKey.count()).toBe(2);
    const actions = (await server.core.audit.list()).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['key.created', 'key.rotated', 'key.retired']));
  });

  it('are loaded by other processes within seconds after a rotation', async () => {
    aheadMs = LEAD_MS;
    const before = await issue(beside);
    const fresh = await server.core.keys.rotate({ atOnce: true });
    const deadline = Date.now() + 4000;
    while (Date.now() < deadline && !fresh.includes((await issue(beside)).kid)) await sleep(50);
    expect(fresh).toContain((await issue(beside)).kid);
    expect(await published(beside)).toEqual([...fresh].sort());
    expect(await isActive(before.jwt, beside)).toBe(false);
  });

  it('are rotated by one of several processes when due', async () => {
    const count = await server.base.db.signingKey.count();
    expect(await server.core.keys.rotateIfDue()).toBe(false);
    aheadMs = 91 * DAY_SECONDS * 1000;
    const rotated = await Promise.all([server.core.keys.rotateIfDue(), beside.core.keys.rotateIfDue()]);
    expect(rotated.filter(Boolean)).toHaveLength(1);
    expect(await server.base.db.signingKey.count()).toBe(count + 2);
  });
});

describe.each(stores)('servers that start together on $name', (store) => {
  it('create one set of keys', async () => {
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

  it('report a wrong secret, and accept the previous one', async () => {
    const first = await startServer({ store, settings: { SECRET } });
    const other = 'the master secret of these tests, 2';
    try {
      await expect(startServer({ sharedWith: first, settings: { SECRET: other } })).rejects.toThrow(
        /SECRET is not the one/,
      );
      const rotated = await startServer({ sharedWith: first, settings: { SECRET: other, SECRET_PREVIOUS: SECRET } });
      expect(rotated.core.keys.set().version).toBe(first.core.keys.set().version);
      await rotated.core.keys.rotate({ atOnce: true });
      await rotated.close();
      const later = await startServer({ sharedWith: first, settings: { SECRET: other, SECRET_PREVIOUS: SECRET } });
      expect(later.core.keys.set().keys.length).toBeGreaterThanOrEqual(2);
      await later.close();
    } finally {
      await first.close();
    }
  });
});
