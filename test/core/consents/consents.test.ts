// Consents: extended by each grant, and revoked as a whole.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, isActive, pkce, refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently, openTokenFamily } from '../../support/token-family.js';

const allow = (...scopes: string[]) => ({ scopes, claims: [], resources: {} });

describe.each(stores)('a consent on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it('grows with each grant, also per resource', async () => {
    const account = await server.account();
    const { id } = account;
    const { consents } = server.core;
    expect(await consents.find(id, 'c')).toEqual({ scopes: [], claims: [], resources: {} });
    await consents.grant(
      { account },
      'c',
      { scopes: ['openid'], claims: ['name'], resources: { r: ['a'] } },
      systemMeta,
    );
    await consents.grant(
      { account },
      'c',
      { scopes: ['openid', 'email'], claims: [], resources: { r: ['b'], s: ['a'] } },
      systemMeta,
    );
    expect(await consents.find(id, 'c')).toEqual({
      scopes: ['openid', 'email'],
      claims: ['name'],
      resources: { r: ['a', 'b'], s: ['a'] },
    });
    expect(await consents.find(id, 'other')).toEqual(allow());
  });

  it('loses nothing in 20 concurrent grants', async () => {
    const account = await server.account();
    const { id } = account;
    const names = Array.from({ length: 20 }, (_, n) => `scope${n}`);
    await concurrently(20, (n) => server.core.consents.grant({ account }, 'c', allow(names[n]!), systemMeta));
    expect((await server.core.consents.find(id, 'c')).scopes.sort()).toEqual(names.sort());
  });

  it('is removed by a revocation that follows concurrent grants', async () => {
    const account = await server.account();
    const { id } = account;
    const { consents } = server.core;
    for (let round = 0; round < 5; round += 1) {
      await consents.grant({ account }, 'c', allow('openid', 'agent:write'), systemMeta);
      await Promise.all([
        consents.revoke(id, 'c', systemMeta),
        ...names(4).map((name) => consents.grant({ account }, 'c', allow(name), systemMeta)),
      ]);
      await consents.revoke(id, 'c', systemMeta);
      expect(await consents.find(id, 'c')).toEqual(allow());
    }
  });

  it('is revoked with all tokens of its client and of no other', async () => {
    const { email, id } = await server.account();
    const [client, other] = [await server.client(), await server.client()];
    const browser = new Browser(server.origin);
    const [family, kept] = [
      await openTokenFamily(server, client, email, {}, browser),
      await openTokenFamily(server, other, email, {}, browser),
    ];
    await server.core.consents.revoke(id, client.id, systemMeta);
    expect([await isActive(server, family.accessToken), await isActive(server, kept.accessToken)]).toEqual([
      false,
      true,
    ]);
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
    const page = await browser.open(authorizeUrl(server, client, pkce().challenge));
    expect(page.url.pathname).toMatch(/^\/interaction\//); // consent is required again
  });

  it('is audited when granted, denied and revoked', async () => {
    const { email, id } = await server.account();
    const client = await server.client();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const page = await browser.open(authorizeUrl(server, client, pkce().challenge));
    const denied = await browser.submit(page, { decision: 'deny' });
    expect(denied.url.searchParams.get('error')).toBe('access_denied');
    expect((await server.core.consents.list(id, FIRST_PAGE)).items).toEqual([]);
    await openTokenFamily(server, client, email, {}, browser);
    expect((await server.core.consents.list(id, FIRST_PAGE)).items.map(({ clientId }) => clientId)).toEqual([
      client.id,
    ]);
    await server.core.consents.revoke(id, client.id, systemMeta);
    const actions = (await server.core.audit.list({ accountId: id, clientId: client.id })).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['consent.denied', 'consent.granted', 'consent.revoked']));
  });
});

const names = (count: number) => Array.from({ length: count }, (_, n) => `more${n}`);
