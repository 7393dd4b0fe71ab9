// Clients of administrators, and the invalidation of clients in other processes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { getMe } from '../../support/api.js';
import { registerDynamically } from '../../support/registration.js';
import {
  authorizeUrl,
  isActive,
  pkce,
  REDIRECT_URI,
  refresh,
  requestToken,
  type TestClient,
} from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily } from '../../support/token-family.js';

describe.each(stores)('the client service on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
    secondServer = await startServer({ sharedWith: server });
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  const MACHINE = { redirect_uris: [], grant_types: ['client_credentials'] };
  const canAuthenticate = async (client: TestClient, at: TestServer = server) =>
    (await requestToken(at, client, { grant_type: 'client_credentials' })).status === 200;

  it('rejects invalid metadata', async () => {
    for (const metadata of [
      { redirect_uris: ['http://evil.example/cb'] },
      { scope: 'root' },
      { client_name: 'a\u0000' },
    ]) {
      await expect(server.client(metadata)).rejects.toMatchObject({ status: 400, code: 'invalid_request' });
    }
    const local = { redirect_uris: ['http://localhost/cb'] };
    await expect(server.client(local, { firstParty: true })).rejects.toMatchObject({ status: 400 });
  });

  it('replaces a secret at once, on each server', async () => {
    const client = await server.client(MACHINE);
    expect([await canAuthenticate(client), await canAuthenticate(client, secondServer)]).toEqual([true, true]);
    const secret = await server.core.clients.rotateSecret(client.id, systemMeta);
    expect([await canAuthenticate(client), await canAuthenticate({ ...client, secret })]).toEqual([false, true]);
    await expect.poll(() => canAuthenticate(client, secondServer), { timeout: 1000, interval: 25 }).toBe(false);
    expect(await canAuthenticate({ ...client, secret }, secondServer)).toBe(true);
    const row = await server.base.db.client.findUnique({ where: { id: client.id } });
    expect(JSON.stringify(row)).not.toContain(secret);
  });

  it('does not accept the hash of a secret as the secret', async () => {
    const client = await server.client(MACHINE);
    const { secretHash } = (await server.base.db.client.findUnique({ where: { id: client.id } }))!;
    for (const secret of [secretHash!, secretHash!.replace('sha256:', ''), 'x', ' ', client.secret.slice(0, -1)]) {
      expect(await canAuthenticate({ ...client, secret }), secret).toBe(false);
    }
  });

  it('deletes a client with its tokens, on each server', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const family = await openTokenFamily(server, client, email);
    await server.core.clients.remove(client.id, systemMeta);
    expect(await isActive(server, family.accessToken)).toBe(false);
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_client');
    await expect.poll(() => isActive(secondServer, family.accessToken), { timeout: 1000, interval: 25 }).toBe(false);
    await expect(server.core.clients.remove(client.id, systemMeta)).rejects.toMatchObject({ status: 404 });
  });

  describe('a deletion takes effect in every process within a second', () => {
    /** Returns the statuses of six requests of a client. */
    async function probe(
      client: TestClient,
      family: { accessToken: string; refreshToken: string },
      jwt: string,
      at: TestServer,
    ) {
      const { challenge } = pkce();
      const pushed = {
        ...{ client_id: client.id, response_type: 'code', redirect_uri: REDIRECT_URI },
        ...{ code_challenge: challenge, code_challenge_method: 'S256' },
      };
      const responses = [
        await requestToken(at, client, { grant_type: 'refresh_token', refresh_token: 'none' }),
        await introspect(at, client, family.accessToken),
        await postForm(at, '/oauth/par', pushed, { client }),
        await sendRequest(at, 'GET', authorizeUrl(at, client, challenge).slice(at.origin.length)),
        await sendRequest(at, 'GET', '/oauth/userinfo', { authorization: `Bearer ${family.accessToken}` }),
        await getMe(at, jwt),
      ];
      return responses.map(({ status }) => status);
    }
    const ACTIVE = [400, 200, 201, 303, 200, 403]; // the last one lacks the scope
    const DELETED = [401, 401, 401, 400, 401, 401];

    const deletions: [string, (client: Awaited<ReturnType<typeof registerDynamically>>) => Promise<unknown>][] = [
      ['by an administrator', ({ id }) => server.core.clients.remove(id, systemMeta)],
      [
        'by the client itself',
        ({ id, managementToken }) =>
          sendRequest(server, 'DELETE', `/oauth/clients/register/${id}`, {
            authorization: `Bearer ${managementToken}`,
          }),
      ],
    ];
    it.each(deletions)('%s', async (_by, deleteClient) => {
      const client = await registerDynamically(server, {
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [REDIRECT_URI],
      });
      const { email } = await server.account();
      const family = await openTokenFamily(server, client, email);
      const ownApi = { scope: 'openid memory:read', resource: `${server.issuer}/api/v1` };
      const { accessToken: jwt } = await openTokenFamily(server, client, email, ownApi);
      for (const at of [server, secondServer]) expect(await probe(client, family, jwt, at)).toEqual(ACTIVE);
      await deleteClient(client);
      const deletedAt = Date.now();
      expect(await probe(client, family, jwt, server)).toEqual(DELETED);
      await expect
        .poll(() => probe(client, family, jwt, secondServer), { timeout: 1000, interval: 25 })
        .toEqual(DELETED);
      expect(Date.now() - deletedAt).toBeLessThan(1000);
      expect((await refresh(secondServer, client, family.refreshToken)).body.error).toBe('invalid_client');
    });
  });

  it('throttles a client after too many wrong secrets', async () => {
    const freshServer = await startServer({ store });
    try {
      const client = await freshServer.client(MACHINE);
      const statuses: number[] = [];
      for (let n = 0; n < 62; n += 1) {
        statuses.push(
          (await requestToken(freshServer, { ...client, secret: `guess ${n}` }, { grant_type: 'client_credentials' }))
            .status,
        );
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(60);
      expect(statuses.at(-1)).toBe(429);
    } finally {
      await freshServer.close();
    }
  });
});
