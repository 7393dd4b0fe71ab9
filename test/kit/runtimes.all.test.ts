// One service, built with the packed kit and Web standards only, on each supported runtime: it
// accepts the credentials that Signet issues, and no others.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as kit from '../../src/kit/index.js';
import { logIn } from '../support/api.js';
import { dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
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

it('the service uses every export of the kit', () => {
  const [, imported] = /import \{([^}]+)\} from 'signet\/kit'/.exec(readFileSync('test/runtimes/service.mjs', 'utf8'))!;
  expect(
    imported!
      .split(/[\s,]+/)
      .filter(Boolean)
      .sort(),
  ).toEqual(Object.keys(kit).sort());
});

describe.each(runtimes)('a credential of Signet, at a service on $name,', (runtime) => {
  let running: RunningService;
  beforeAll(async () => {
    running = await startService(runtime, world.project.path, world.settings, world.hosts);
  });
  afterAll(async () => {
    expect(running.warnings()).toBe('');
    expect((await running.stop()).signal).not.toBe('SIGKILL');
  });

  const ask = (path: string, authorization: string, headers: Record<string, string> = {}) =>
    fetch(running.service + path, { headers: { authorization, ...headers }, redirect: 'manual' });
  const answer = async (...request: Parameters<typeof ask>) => {
    const response = await ask(...request);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const bearing = (path: string, credential: string) => answer(path, `Bearer ${credential}`);
  const moveTo = async (seconds: number) => void (await ask(`/ahead?seconds=${seconds}`, ''));

  it('is accepted for its audience, also by twenty concurrent requests', async () => {
    const token = await world.issue();
    for (const { status, body } of await Promise.all(Array.from({ length: 20 }, () => bearing('/tickets', token))))
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({
          type: 'agent',
          via: 'access-token',
          agentId: world.machine.id,
          scopes: ['ticket:read'],
        }),
      ]);
    expect(await bearing('/tickets/all', token)).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } });
    expect((await bearing('/pages', token)).body).toBe('let through');
  });

  it('is rejected for another API, after any change, and when it has expired', async () => {
    const token = await world.issue();
    const invalid = { status: 401, body: { error: 'invalid_token' } };
    expect(await bearing('/tickets', await world.issue(OTHER))).toMatchObject(invalid);
    for (let at = 0; at < token.length; at += 37) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      expect((await bearing('/tickets', changed)).status, `at ${at}`).toBe(401);
    }
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${token.split('.')[1]}.`;
    expect(await bearing('/tickets', none)).toMatchObject(invalid);
    expect(await answer('/tickets', '')).toMatchObject({ status: 401, body: { error: 'no_auth' } });
    await moveTo(9 * 3600);
    expect(await bearing('/tickets', token)).toMatchObject({ status: 401, body: { error: 'expired_token' } });
    await moveTo(0);
  });

  it('is required for a page, which redirects to the sign-in page', async () => {
    const response = await ask('/pages?a=1', '', { accept: 'text/html' });
    const to = new URL(response.headers.get('location')!);
    expect([response.status, to.pathname + to.search]).toEqual([307, '/sign-in?next=%2Fpages%3Fa%3D1']);
  });

  it('is accepted as an API key until it is revoked', async () => {
    const { access_token: own } = await logIn(world.server, (await world.server.account()).email, PASSWORD);
    const api = (method: string, path = '', body?: object) =>
      fetch(`${world.server.origin}/api/v1/api-keys${path}`, {
        method,
        headers: { authorization: `Bearer ${own}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body),
      });
    const made = (await (await api('POST', '', { name: 'CI' })).json()) as { id: string; api_key: string };
    expect(await bearing('/keys', made.api_key)).toMatchObject({
      status: 200,
      body: { type: 'human', via: 'introspected' },
    });
    expect((await bearing('/tickets', made.api_key)).status).toBe(401);
    await api('DELETE', `/${made.id}`);
    expect(await bearing('/keys', made.api_key)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('requires a proof if it is bound: for this request, by this key, and once', async () => {
    const [key, thief] = [await makeKey(), await makeKey()];
    const params = { grant_type: 'client_credentials', resource: AUDIENCE };
    const bound = (await tokenWithProof(world.server, world.machine, key, params)).body.access_token!;
    const proof = (by = key, htu = `${running.service}/tickets`) => dpop(by, { htm: 'GET', htu, accessToken: bound });
    const send = (made: string) => answer('/tickets', `DPoP ${bound}`, { dpop: made });
    const good = await proof();
    expect(await send(good)).toMatchObject({ status: 200, body: { jkt: key.thumbprint } });
    for (const refused of [
      good,
      await proof(thief),
      await proof(key, `${running.service}/other`),
      `${await proof()}A`,
      '',
    ])
      expect(await send(refused)).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    expect((await bearing('/tickets', bound)).status).toBe(401);
  });

  it('results in 503 while the issuer is unavailable', async () => {
    const { status, headers, body } = await bearing('/unavailable', await world.issue());
    expect([status, headers.get('retry-after'), body.error]).toEqual([503, '2', 'temporarily_unavailable']);
  });

  // At the edge, a fetch is cancelled with its request. No other request can wait for it.
  it.each([
    ['a token', () => world.slow.token()],
    ['a key', knownKey],
  ])('is verified for all who send %s even if the first request was abandoned', async (_, make) => {
    const credential = await make();
    await moveTo(0);
    const continueSignIn = world.slow.holdBack();
    expect((await bearing('/slow/hasty', credential)).body).toBe('accepted without waiting');
    const others = Array.from({ length: 5 }, () => bearing('/slow', credential));
    await waitUntil('it asks', world.slow.isAsked);
    await aMoment();
    continueSignIn();
    for (const { status } of await Promise.all(others)) expect(status).toBe(200);
    expect((await bearing('/slow', credential)).status).toBe(200);
  });

  it('is accepted with a new signing key while keys are refreshed in the background', async () => {
    const old = await world.slow.token();
    expect((await bearing('/slow', old)).status).toBe(200);
    await moveTo(301);
    const continueSignIn = world.slow.holdBack();
    const meanwhile = bearing('/slow', old);
    await waitUntil('it asks', world.slow.isAsked);
    await aMoment();
    continueSignIn();
    expect((await meanwhile).status).toBe(200);
    await world.slow.rotate();
    await moveTo(340);
    expect((await bearing('/slow', await world.slow.token())).status).toBe(200);
    await moveTo(0);
  });
});

const aMoment = () => new Promise((resolve) => setTimeout(resolve, 100));

let keys = 0;
async function knownKey(): Promise<string> {
  keys += 1;
  world.slow.answers.set(`sk_live_${keys}`, { user: { id: 'person-1', name: 'Alice' } });
  return `sk_live_${keys}`;
}
