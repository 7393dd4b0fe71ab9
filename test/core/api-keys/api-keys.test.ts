// API keys: shown once, limited by their owner's role, rotated with a grace period, revoked at
// once.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember, changeAccount, suspendAccount } from '../../support/accounts.js';
import { createSignedInAccount } from '../../support/api.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

interface Key {
  id: string;
  api_key: string;
  key_hint: string;
  expires_at: string | null;
}

const DAY_MS = 86_400_000;

describe.each(stores)('an API key on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock });
    secondServer = await startServer({ sharedWith: server, clock });
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  async function createKey(token: string, body: object = {}): Promise<Key> {
    const response = await callApi(server, 'POST', '/api-keys', { token, body: { name: 'CI', ...body } });
    if (response.status !== 201) throw new Error(response.text);
    return response.json as unknown as Key;
  }

  const getMeWith = (key: string, at: TestServer = server) => callApi(at, 'GET', '/auth/me', { token: key });
  const listKeys = async (token: string) => JSON.parse((await callApi(server, 'GET', '/api-keys', { token })).text);

  it('is returned once, listed without its secret, and stored as a hash', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    const created = await createKey(token, { name: 'Production Server Key', expires_in_days: 90 });
    expect(created).toEqual({
      id: expect.stringMatching(/^key_[0-9a-f-]{36}$/),
      api_key: expect.stringMatching(/^sk_live_/),
      name: 'Production Server Key',
      prefix: 'sk_live',
      key_hint: expect.stringMatching(/^sk_live_.{8}…$/),
      scopes: [],
      role: 'admin', // the highest role of a key, even for an owner
      organization_id: expect.stringMatching(/^co_/),
      project_id: null,
      is_active: true,
      last_used_at: null,
      usage_count: 0,
      expires_at: expect.any(String),
      created_at: expect.any(String),
    });
    const { api_key: secret, ...listed } = created;
    expect(await listKeys(token)).toEqual([listed]);
    const rows = JSON.stringify(await server.base.db.apiKey.findMany({ omit: { usageCount: true } }));
    expect(rows).not.toContain(secret);
    expect(rows).not.toContain(secret.slice(20));
    const events = await server.core.audit.list({ accountId, action: 'api_key.created' });
    expect(JSON.stringify(events)).not.toContain(secret.slice(8));
    expect(events).toHaveLength(1);
  });

  it('is accepted as X-API-Key and as bearer token, in each format', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    for (const [body, form] of [
      [{}, /^sk_live_/],
      [{ environment: 'test' }, /^sk_test_/],
      [{ format: 'cap' }, /^cap_[A-Z2-7]{52}$/],
    ] as const) {
      const { api_key: key } = await createKey(token, body);
      expect(key).toMatch(form);
      expect((await getMeWith(key)).json.id).toBe(accountId);
      expect((await callApi(server, 'GET', '/auth/me', { headers: { 'x-api-key': key } })).json.id).toBe(accountId);
    }
  });

  it('is one of at most 200 active ones of an account, even after concurrent creations and rotations', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    await createKey(token);
    await server.base.db.account.update({ where: { id: accountId }, data: { emailVerified: true } });
    const { id, ...first } = (await server.core.apiKeys.list(accountId, FIRST_PAGE)).items[0]!;
    const insertKeys = (count: number, expiresAt: Date | null) =>
      server.base.db.apiKey.createMany({
        data: Array.from({ length: count }, (_, n) => {
          return { ...first, scopes: [], id: `${id}-${expiresAt?.getTime()}-${n}`, hash: `${n}`, expiresAt };
        }),
      });
    await insertKeys(50, new Date(Date.now() - DAY_MS));
    await insertKeys(194, null);
    const rotated = `/api-keys/${id}/rotate`;
    const responses = await concurrently(20, (n) =>
      callApi(n % 2 ? server : secondServer, 'POST', n < 10 ? '/api-keys' : rotated, {
        token,
        body: n < 10 ? { name: 'K' } : {},
      }),
    );
    expect(responses.filter(({ status }) => status === 201)).toHaveLength(5);
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([201, 409]));
  });

  it('cannot be created by a session from before a password change', async () => {
    const { accountId } = await createSignedInAccount(server);
    const owner = (await server.core.accounts.find(accountId))!;
    await sleep(2); // two changes within a millisecond look like one
    await changeAccount(server, accountId, { password: 'nine unrelated lanterns' });
    const created = server.core.apiKeys.create(
      { account: owner },
      { name: 'K', format: 'sk_live', lifeSeconds: null },
      systemMeta,
    );
    await expect(created).rejects.toMatchObject({ code: 'conflict' });
    expect((await server.core.apiKeys.list(accountId, FIRST_PAGE)).items).toEqual([]);
  });

  it('expires after 90 days by default, after a chosen time, or never', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const [byDefault, short, never] = [
      await createKey(token),
      await createKey(token, { expires_in_days: 1 }),
      await createKey(token, { expires_in_days: null }),
    ];
    expect(Math.round((Date.parse(byDefault.expires_at!) - Date.now()) / DAY_MS)).toBe(90);
    expect(never.expires_at).toBeNull();
    await later(DAY_MS + 1000, async () => {
      expect((await getMeWith(short.api_key)).json.error).toBe('expired_token');
      expect((await getMeWith(byDefault.api_key)).status).toBe(200);
    });
    await later(3000 * DAY_MS, async () => {
      expect((await getMeWith(never.api_key)).status).toBe(200);
    });
  });

  it('is rejected by every process within a second when it is revoked, or when its owner is suspended or leaves', async () => {
    const revocations: ((created: Key, token: string, accountId: string) => Promise<unknown>)[] = [
      ({ id }, token) => callApi(server, 'DELETE', `/api-keys/${id}`, { token }),
      (_made, _token, accountId) => suspendAccount(server, accountId),
      async (_made, _token, accountId) => {
        await server.base.db.membership.deleteMany({ where: { accountId } });
        await server.base.invalidationBus.publish('organizations');
      },
    ];
    for (const revoke of revocations) {
      const { access_token: token, accountId } = await createSignedInAccount(server);
      const created = await createKey(token);
      expect((await getMeWith(created.api_key, secondServer)).status).toBe(200);
      await revoke(created, token, accountId);
      expect((await getMeWith(created.api_key)).json.error).toBe('invalid_token');
      await expect
        .poll(async () => (await getMeWith(created.api_key, secondServer)).status, { timeout: 1000, interval: 50 })
        .toBe(401);
    }
  });

  it('is rotated with or without a grace period', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const old = await createKey(token, { name: 'Deploy', role: 'viewer', expires_in_days: 30 });
    const rotate = (id: string, body?: object) => callApi(server, 'POST', `/api-keys/${id}/rotate`, { token, body });
    const fresh = await rotate(old.id);
    expect(fresh.status).toBe(201);
    expect(fresh.json).toMatchObject({ name: 'Deploy', role: 'viewer', is_active: true });
    const next = fresh.json as unknown as Key;
    for (const key of [old, next]) expect((await getMeWith(key.api_key)).status).toBe(200);
    await later(DAY_MS + 1000, async () => {
      expect((await getMeWith(old.api_key)).json.error).toBe('expired_token');
      expect((await getMeWith(next.api_key)).status).toBe(200);
    });

    const last = (await rotate(next.id, { grace_period: 0 })).json as unknown as Key;
    expect((await getMeWith(next.api_key)).status).toBe(401);
    expect((await getMeWith(last.api_key)).status).toBe(200);
    expect((await rotate(next.id)).status).toBe(404);
    for (const grace of ['31d', '-1h', 'soon', -5]) {
      expect((await rotate(last.id, { grace_period: grace })).json.error).toBe('invalid_request');
    }
  });

  it('is rotated once by 10 concurrent requests without a grace period', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const old = await createKey(token);
    const responses = await concurrently(10, () =>
      callApi(server, 'POST', `/api-keys/${old.id}/rotate`, { token, body: { grace_period: 0 } }),
    );
    expect(responses.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
  });

  it('is rotated once by two requests, even if the later one is executed first', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    const { id } = await createKey(token);
    const account = (await server.core.accounts.find(accountId))!;
    const rotate = () =>
      server.core.apiKeys.rotate({ account }, id, 0, systemMeta).then(
        () => 'replaced',
        ({ code }) => code,
      );
    /** Starts a rotation that waits for the lock on the account. */
    const begin = async (ms: number) =>
      later(ms, async () => {
        const rotation = rotate();
        await sleep(100);
        return { rotation };
      });
    const waiting = await server.base.db.$transaction(async (tx) => {
      await server.core.accounts.lock(accountId, tx);
      return [await begin(60_000), await begin(0)];
    });
    expect((await Promise.all(waiting.map(({ rotation }) => rotation))).sort()).toEqual(['not_found', 'replaced']);
  });

  it('cannot have a higher role than its creator', async () => {
    const owner = await createSignedInAccount(server);
    const guest = await createSignedInAccount(server);
    const organizationId = await server.core.organizations.personalOrganizationId(owner.accountId);
    await addMember(server, organizationId, guest.accountId, 'operator');
    const attempt = (body: object, token = guest.access_token) =>
      callApi(server, 'POST', '/api-keys', { token, body: { name: 'K', organization_id: organizationId, ...body } });
    expect((await attempt({ role: 'admin' })).json.error).toBe('insufficient_role');
    expect((await attempt({ role: 'owner' })).json.error).toBe('invalid_request');
    expect((await attempt({})).json.role).toBe('operator');
    expect((await attempt({ scopes: ['everything'] })).json.error).toBe('invalid_request');
    expect((await attempt({}, (await createSignedInAccount(server)).access_token)).status).toBe(404); // another user's organization

    // A key loses permissions together with its owner.
    const key = String((await attempt({ role: 'operator' })).json.api_key);
    const roleIn = async () => {
      const { organizations } = (await getMeWith(key)).json as { organizations: { role: string }[] };
      return organizations.map(({ role }) => role);
    };
    expect(await roleIn()).toEqual(['operator']);
    await addMember(server, organizationId, guest.accountId, 'viewer');
    expect(await roleIn()).toEqual(['viewer']);
  });

  it('of a project can access only that project', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const [one, other] = [
      (await callApi(server, 'POST', '/projects', { token, body: { name: 'One' } })).json.id,
      (await callApi(server, 'POST', '/projects', { token, body: { name: 'Other' } })).json.id,
    ];
    const { api_key: key } = await createKey(token, { project_id: one });
    const get = (path: string) => callApi(server, 'GET', path, { token: key });
    expect((await get(`/projects/${one}`)).json.name).toBe('One');
    expect((await getMeWith(key)).json).toMatchObject({ projects: [{ id: one }] });
    for (const path of [`/projects/${other}`, '/projects', '/organizations']) {
      const response = await get(path);
      expect([response.status, response.json.error], path).toEqual([403, 'project_scope_violation']);
    }
    await callApi(server, 'DELETE', `/projects/${one}`, { token });
    expect((await getMeWith(key)).json.error).toBe('invalid_token');
  });

  it('of an organization gets not_found for projects of others, existing or not', async () => {
    const [mine, theirs] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const project = (token: string) => callApi(server, 'POST', '/projects', { token, body: { name: 'Secret' } });
    const { id } = (await project(theirs.access_token)).json;
    const { api_key: key } = await createKey(mine.access_token);
    const get = async (path: string) => {
      const { status, json } = await callApi(server, 'GET', path, { token: key });
      return [status, json.error, json.error_description];
    };
    const unknown = await get('/projects/prj_00000000-0000-4000-8000-000000000000');
    expect(unknown.slice(0, 2)).toEqual([404, 'not_found']);
    expect(await get(`/projects/${id}`)).toEqual(unknown);
  });

  it('cannot manage keys or the account', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const created = await createKey(token);
    for (const [method, path, body] of [
      ['POST', '/api-keys', { name: 'K' }],
      ['GET', '/api-keys', undefined],
      ['DELETE', `/api-keys/${created.id}`, undefined],
      ['POST', `/api-keys/${created.id}/rotate`, {}],
      ['PATCH', '/auth/me/profile', { name: 'X' }],
      ['GET', '/auth/sessions', undefined],
      ['POST', '/auth/logout', undefined],
      ['POST', '/organizations', { name: 'X' }],
    ] as const) {
      const response = await callApi(server, method, path, { token: created.api_key, body });
      expect([response.status, response.json.error], path).toEqual([403, 'insufficient_scope']);
    }
    expect((await callApi(server, 'POST', '/auth/refresh', { token: created.api_key })).status).toBe(401);
  });

  it('cannot be listed, rotated or revoked by another account', async () => {
    const [one, other] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const created = await createKey(one.access_token);
    const token = other.access_token;
    expect((await callApi(server, 'DELETE', `/api-keys/${created.id}`, { token })).status).toBe(404);
    expect((await callApi(server, 'POST', `/api-keys/${created.id}/rotate`, { token, body: {} })).status).toBe(404);
    expect(await listKeys(token)).toEqual([]);
    expect((await getMeWith(created.api_key)).status).toBe(200);
  });

  it('can be created and rotated only after recent authentication', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const created = await createKey(token);
    await later(11 * 60_000, async () => {
      for (const path of ['/api-keys', `/api-keys/${created.id}/rotate`]) {
        const response = await callApi(server, 'POST', path, { token, body: { name: 'K' } });
        expect([response.status, response.json.error]).toEqual([401, 'reauth_required']);
      }
      expect((await callApi(server, 'DELETE', `/api-keys/${created.id}`, { token })).status).toBe(200);
    });
  });

  /** Counts the key queries of this server while `run` runs. */
  async function countCalls(method: 'findMany' | 'updateMany', run: () => Promise<unknown>): Promise<number> {
    const keys = server.base.db.apiKey as unknown as Record<string, (...all: unknown[]) => unknown>;
    const original = keys[method]!;
    let count = 0;
    const counting = (...all: unknown[]) => {
      count += 1;
      return original.apply(keys, all);
    };
    Object.defineProperty(keys, method, { configurable: true, value: counting });
    try {
      await run();
      return count;
    } finally {
      Object.defineProperty(keys, method, { configurable: true, value: original });
    }
  }

  it('counts every use with few writes', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const created = await createKey(token);
    await server.core.apiKeyUsage.flush(); // counts of other tests must not be written meanwhile
    const writes = await countCalls('updateMany', () => concurrently(30, () => getMeWith(created.api_key)));
    expect(writes).toBeLessThanOrEqual(2); // one write every few seconds
    await concurrently(20, () => getMeWith(created.api_key, secondServer));
    await server.core.apiKeyUsage.flush();
    await secondServer.core.apiKeyUsage.flush();
    expect((await server.base.db.apiKey.findUniqueOrThrow({ where: { id: created.id } })).usageCount).toBe(50n);
    await getMeWith(created.api_key);
    expect((await listKeys(token))[0]).toMatchObject({ usage_count: 51, last_used_at: expect.any(String) });
  });

  it('with a typing error is rejected without a query', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const { api_key: key } = await createKey(token);
    const mistyped = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
    const countQueries = (text: string, status: number) =>
      countCalls('findMany', async () => expect((await getMeWith(text)).status).toBe(status));
    expect(await countQueries(mistyped, 401)).toBe(0);
    expect(await countQueries(key, 200)).toBe(1);
    expect(await countQueries(key, 200)).toBe(0); // cached for a moment
  });
});
