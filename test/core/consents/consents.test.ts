// What a person allowed a client: added to, never lost, taken back as a whole.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemCaller } from '../../../src/core/request-meta.js';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, isAlive, pkce, refresh } from '../../support/relying-party.js';
import { type House, openHouse } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { atOnce, openFamily } from '../../support/token-family.js';

const allow = (...scopes: string[]) => ({ scopes, claims: [], resources: {} });

describe.each(stores)('consents on $name', (store) => {
  let house: House;
  beforeAll(async () => {
    house = await openHouse({ store });
  });
  afterAll(() => house.close());

  it('grow with each yes, by resource too', async () => {
    const { id } = await house.account();
    const { consents } = house.core;
    expect(await consents.find(id, 'c')).toEqual({ scopes: [], claims: [], resources: {} });
    await consents.give(id, 'c', { scopes: ['openid'], claims: ['name'], resources: { r: ['a'] } }, systemCaller);
    await consents.give(
      id,
      'c',
      { scopes: ['openid', 'email'], claims: [], resources: { r: ['b'], s: ['a'] } },
      systemCaller,
    );
    expect(await consents.find(id, 'c')).toEqual({
      scopes: ['openid', 'email'],
      claims: ['name'],
      resources: { r: ['a', 'b'], s: ['a'] },
    });
    expect(await consents.find(id, 'other')).toEqual(allow());
  });

  it('lose nothing when 20 are given at once', async () => {
    const { id } = await house.account();
    const names = Array.from({ length: 20 }, (_, n) => `scope${n}`);
    await atOnce(20, (n) => house.core.consents.give(id, 'c', allow(names[n]!), systemCaller));
    expect((await house.core.consents.find(id, 'c')).scopes.sort()).toEqual(names.sort());
  });

  it('do not come back to life when one is given while they are withdrawn', async () => {
    const { id } = await house.account();
    const { consents } = house.core;
    for (let round = 0; round < 5; round += 1) {
      await consents.give(id, 'c', allow('openid', 'agent:write'), systemCaller);
      await Promise.all([
        consents.withdraw(id, 'c', systemCaller),
        ...names(4).map((name) => consents.give(id, 'c', allow(name), systemCaller)),
      ]);
      await consents.withdraw(id, 'c', systemCaller);
      expect(await consents.find(id, 'c')).toEqual(allow());
    }
  });

  it('take all tokens with them when they are withdrawn, of this client and no other', async () => {
    const { email, id } = await house.account();
    const [client, other] = [await house.client(), await house.client()];
    const browser = new Browser(house.origin);
    const [family, kept] = [
      await openFamily(house, client, email, {}, browser),
      await openFamily(house, other, email, {}, browser),
    ];
    await house.core.consents.withdraw(id, client.id, systemCaller);
    expect([await isAlive(house, family.accessToken), await isAlive(house, kept.accessToken)]).toEqual([false, true]);
    expect((await refresh(house, client, family.refreshToken)).body.error).toBe('invalid_grant');
    const page = await browser.open(authorizeUrl(house, client, pkce().challenge));
    expect(page.url.pathname).toMatch(/^\/interaction\//); // asked again
  });

  it('leave a trail of yes, no and taking back', async () => {
    const { email, id } = await house.account();
    const client = await house.client();
    const browser = new Browser(house.origin);
    await browser.signIn(email, 'correct horse battery');
    const page = await browser.open(authorizeUrl(house, client, pkce().challenge));
    const denied = await browser.submit(page, { decision: 'deny' });
    expect(denied.url.searchParams.get('error')).toBe('access_denied');
    expect(await house.core.consents.list(id)).toEqual([]);
    await openFamily(house, client, email, {}, browser);
    expect((await house.core.consents.list(id)).map(({ clientId }) => clientId)).toEqual([client.id]);
    await house.core.consents.withdraw(id, client.id, systemCaller);
    const actions = (await house.core.audit.list({ accountId: id, clientId: client.id })).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['consent.refused', 'consent.given', 'consent.withdrawn']));
  });
});

const names = (count: number) => Array.from({ length: count }, (_, n) => `more${n}`);
