// A service built with the packed kit and Web standards on each supported runtime accepts the
// credentials that Signet issues, and no others.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as kit from '../../src/kit/index.js';
import { logIn } from '../support/api.js';
import { dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
import { callApi } from '../support/request.js';
import { type RunningService, runtimes, startService } from '../support/runtimes.js';
import { PASSWORD } from '../support/server.js';
import { waitUntil } from '../support/server-process.js';
import { AUDIENCE } from './issuer.js';
import { OTHER, openWorld, type World } from './runtime-world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

it('the tested service uses every export of the kit', () => {
  const [, imported] = /import \{([^}]+)\} from 'signet\/kit'/.exec(readFileSync('test/runtimes/service.mjs', 'utf8'))!;
  expect(
    imported!
      .split(/[\s,]+/)
      .filter(Boolean)
      .sort(),
  ).toEqual(Object.keys(kit).sort());
});

describe.each(runtimes)('a credential of Signet at a service on $name', (runtime) => {
  let running: RunningService;
  beforeAll(async () => {
    running = await startService(runtime, world.project.path, world.settings, world.hosts);
  });
  afterAll(async () => {
    expect(running.warnings()).toBe('');
    expect((await running.stop()).signal).not.toBe('SIGKILL');
  });

  const request = (path: string, authorization: string, headers: Record<string, string> = {}) =>
    fetch(running.service + path, { headers: { authorization, ...headers }, redirect: 'manual' });
  const requestJson = async (...args: Parameters<typeof request>) => {
    const response = await request(...args);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const requestWith = (path: string, credential: string) => requestJson(path, `Bearer ${credential}`);
  const setTime = async (seconds: number) => void (await request(`/ahead?seconds=${seconds}`, ''));

  it('is accepted for its audience, also by twenty concurrent requests', async () => {
    const token = await world.issue();
    for (const { status, body } of await Promise.all(Array.from({ length: 20 }, () => requestWith('/tickets', token))))
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({
          type: 'agent',
          via: 'access-token',
          agentId: world.machine.id,
          scopes: ['ticket:read'],
        }),
      ]);
    expect(await requestWith('/tickets/all', token)).toMatchObject({
      status: 403,
      body: { error: 'insufficient_scope' },
    });
    expect((await requestWith('/pages', token)).body).toBe('let through');
  });

  it('is rejected for another API, after any change, and when it has expired', async () => {
    const token = await world.issue();
    const invalid = { status: 401, body: { error: 'invalid_token' } };
    expect(await requestWith('/tickets', await world.issue(OTHER))).toMatchObject(invalid);
    for (let at = 0; at < token.length; at += 37) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      expect((await requestWith('/tickets', changed)).status, `at ${at}`).toBe(401);
    }
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${token.split('.')[1]}.`;
    expect(await requestWith('/tickets', none)).toMatchObject(invalid);
    expect(await requestJson('/tickets', '')).toMatchObject({ status: 401, body: { error: 'no_auth' } });
    await setTime(9 * 3600);
    expect(await requestWith('/tickets', token)).toMatchObject({ status: 401, body: { error: 'expired_token' } });
    await setTime(0);
  });

  it('is required for a page, which redirects to the sign-in page', async () => {
    const response = await request('/pages?a=1', '', { accept: 'text/html' });
    const to = new URL(response.headers.get('location')!);
    expect([response.status, to.pathname + to.search]).toEqual([307, '/sign-in?next=%2Fpages%3Fa%3D1']);
  });

  it('is accepted as an API key until it is revoked', async () => {
    const { access_token: token } = await logIn(world.server, (await world.server.account()).email, PASSWORD);
    const { json } = await callApi(world.server, 'POST', '/api-keys', { token, body: { name: 'CI' } });
    const { id, api_key: apiKey } = json as { id: string; api_key: string };
    expect(await requestWith('/keys', apiKey)).toMatchObject({
      status: 200,
      body: { type: 'human', via: 'introspected' },
    });
    expect((await requestWith('/tickets', apiKey)).status).toBe(401);
    await callApi(world.server, 'DELETE', `/api-keys/${id}`, { token });
    expect(await requestWith('/keys', apiKey)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('requires a proof for the request if it is bound to a key, and accepts the proof once', async () => {
    const [key, otherKey] = [await makeKey(), await makeKey()];
    const params = { grant_type: 'client_credentials', resource: AUDIENCE };
    const bound = (await tokenWithProof(world.server, world.machine, key, params)).body.access_token!;
    const proof = (signer = key, htu = `${running.service}/tickets`) =>
      dpop(signer, { htm: 'GET', htu, accessToken: bound });
    const send = (signed: string) => requestJson('/tickets', `DPoP ${bound}`, { dpop: signed });
    const valid = await proof();
    expect(await send(valid)).toMatchObject({ status: 200, body: { jkt: key.thumbprint } });
    for (const rejected of [
      valid,
      await proof(otherKey),
      await proof(key, `${running.service}/other`),
      `${await proof()}A`,
      '',
    ])
      expect(await send(rejected)).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    expect((await requestWith('/tickets', bound)).status).toBe(401);
  });

  it('results in 503 while the issuer is unavailable', async () => {
    const { status, headers, body } = await requestWith('/unavailable', await world.issue());
    expect([status, headers.get('retry-after'), body.error]).toEqual([503, '2', 'temporarily_unavailable']);
  });

  // On edge runtimes a fetch is canceled with its request, so no other request can wait for it.
  it.each([
    ['token', () => world.slow.token()],
    ['API key', createKnownKey],
  ])('is verified for all requests with the same %s even if the first one was aborted', async (_, create) => {
    const credential = await create();
    await setTime(0);
    const release = world.slow.delay();
    expect((await requestWith('/slow/hasty', credential)).body).toBe('accepted without waiting');
    const others = Array.from({ length: 5 }, () => requestWith('/slow', credential));
    await waitUntil('the service requests the issuer', world.slow.isPending);
    await shortPause();
    release();
    for (const { status } of await Promise.all(others)) expect(status).toBe(200);
    expect((await requestWith('/slow', credential)).status).toBe(200);
  });

  it('is accepted with a new signing key while keys are refreshed in the background', async () => {
    const old = await world.slow.token();
    expect((await requestWith('/slow', old)).status).toBe(200);
    await setTime(301);
    const release = world.slow.delay();
    const meanwhile = requestWith('/slow', old);
    await waitUntil('the service requests the issuer', world.slow.isPending);
    await shortPause();
    release();
    expect((await meanwhile).status).toBe(200);
    await world.slow.rotate();
    await setTime(340);
    expect((await requestWith('/slow', await world.slow.token())).status).toBe(200);
    await setTime(0);
  });
});

const shortPause = () => new Promise((resolve) => setTimeout(resolve, 100));

let keys = 0;
async function createKnownKey(): Promise<string> {
  keys += 1;
  world.slow.responses.set(`sk_live_${keys}`, { user: { id: 'user-1', name: 'Alice' } });
  return `sk_live_${keys}`;
}
