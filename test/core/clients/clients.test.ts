// Clients that an administrator makes; what is told of them to the servers beside.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemCaller } from '../../../src/core/caller.js';
import { openFamily } from '../../support/families.js';
import { type House, openHouse } from '../../support/house.js';
import { isAlive, refresh, type TestClient, token } from '../../support/relying-party.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('clients on $name', (store) => {
  let house: House;
  let beside: House;
  beforeAll(async () => {
    house = await openHouse({ store });
    beside = await openHouse({ beside: house });
  });
  afterAll(async () => {
    await beside.close();
    await house.close();
  });

  const MACHINE = { redirect_uris: [], grant_types: ['client_credentials'] };
  const works = async (client: TestClient, at: House = house) =>
    (await token(at, client, { grant_type: 'client_credentials' })).status === 200;

  it('are refused by a sentence when they are unfit', async () => {
    for (const metadata of [
      { redirect_uris: ['http://evil.example/cb'] },
      { scope: 'root' },
      { client_name: 'a\u0000' },
    ]) {
      await expect(house.client(metadata)).rejects.toMatchObject({ status: 400, code: 'invalid_request' });
    }
    const local = { redirect_uris: ['http://localhost/cb'] };
    await expect(house.client(local, { firstParty: true })).rejects.toMatchObject({ status: 400 });
  });

  it('have another secret from one moment to the next, on each server', async () => {
    const client = await house.client(MACHINE);
    expect([await works(client), await works(client, beside)]).toEqual([true, true]);
    const secret = await house.core.clients.rotateSecret(client.id, systemCaller);
    expect([await works(client), await works({ ...client, secret })]).toEqual([false, true]);
    await expect.poll(() => works(client, beside), { timeout: 1500 }).toBe(false);
    expect(await works({ ...client, secret }, beside)).toBe(true);
    const row = await house.base.db.client.findUnique({ where: { id: client.id } });
    expect(JSON.stringify(row)).not.toContain(secret);
  });

  it('do not come in with the hash of their secret', async () => {
    const client = await house.client(MACHINE);
    const { secretHash } = (await house.base.db.client.findUnique({ where: { id: client.id } }))!;
    for (const secret of [secretHash!, secretHash!.replace('sha256:', ''), 'x', ' ', client.secret.slice(0, -1)]) {
      expect(await works({ ...client, secret }), secret).toBe(false);
    }
  });

  it('take their tokens with them when they are removed, on each server', async () => {
    const client = await house.client();
    const { email } = await house.account();
    const family = await openFamily(house, client, email);
    await house.core.clients.remove(client.id, systemCaller);
    expect(await isAlive(house, family.accessToken)).toBe(false);
    expect((await refresh(house, client, family.refreshToken)).body.error).toBe('invalid_client');
    await expect.poll(() => isAlive(beside, family.accessToken), { timeout: 1500 }).toBe(false);
    await expect(house.core.clients.remove(client.id, systemCaller)).rejects.toMatchObject({ status: 404 });
  });

  it('slow down who guesses secrets', async () => {
    const guarded = await openHouse({ store });
    try {
      const client = await guarded.client(MACHINE);
      const statuses: number[] = [];
      for (let n = 0; n < 62; n += 1) {
        statuses.push(
          (await token(guarded, { ...client, secret: `guess ${n}` }, { grant_type: 'client_credentials' })).status,
        );
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(60);
      expect(statuses.at(-1)).toBe(429);
    } finally {
      await guarded.close();
    }
  });
});
