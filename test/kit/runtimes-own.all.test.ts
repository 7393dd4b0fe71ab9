// The service on each runtime, with credentials of its own: sessions, keys, proofs, rate limits,
// policies, approvals and sign-in with a provider.
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signSession } from '../../src/kit/index.js';
import { Browser, formsOf } from '../support/browser.js';
import { type ClientKey, dpop, makeKey } from '../support/client-keys.js';
import { type RunningService, runtimes, startService } from '../support/runtimes.js';
import { PASSWORD } from '../support/server.js';
import { openWorld, type World } from './runtime-world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const PROOF_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'Ed25519', 'EdDSA'];

describe.each(runtimes)('a service with its own credentials on $name', (runtime) => {
  let running: RunningService;
  beforeAll(async () => {
    running = await startService(runtime, world.project.path, world.settings, world.hosts);
  });
  afterAll(async () => {
    expect(running.warnings()).toBe('');
    expect((await running.stop()).signal).not.toBe('SIGKILL');
  });

  const request = async (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) => {
    const response = await fetch(running.service + path, { headers, redirect: 'manual', ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
  };
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    request(path, headers, { method: 'POST', body });
  const withKey = (key: string) => ({ authorization: `Bearer ${key}` });

  it('accepts a valid session, but no cross-site changes', async () => {
    const { body, headers } = await request('/sign-in');
    const [cookie] = headers.getSetCookie()[0]!.split(';');
    const user = { type: 'human', via: 'session', userId: 'user_1', role: 'admin' };
    expect(await request('/own', { cookie: cookie! })).toMatchObject({ status: 200, body: user });
    const signedHere = signSession({ userId: 'user_2' }, world.secret, '1h');
    expect((await request('/own', { cookie: `capstan_session=${signedHere}` })).body.userId).toBe('user_2');
    expect((await post('/session', body.token)).body).toMatchObject({ userId: 'user_1', role: 'admin' });
    const expired = signSession({ userId: 'user_1' }, world.secret, '1s');
    for (const other of [`${body.token}A`, body.token.slice(0, -2), body.token.replace('.', '.e'), ''])
      expect((await request('/own', { cookie: `capstan_session=${other}` })).status).toBe(401);
    const change = (more: Record<string, string>) => post('/own', '', { cookie: cookie!, ...more });
    expect((await change({ 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await change({ origin: running.service })).status).toBe(200);
    const rejected = { status: 403, body: { error: 'csrf_validation_failed' } };
    for (const from of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }, { origin: 'null' }, {}])
      expect(await change(from as Record<string, string>)).toMatchObject(rejected);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect((await post('/session', expired)).body).toBeNull();
  });

  it('accepts its own keys until they are revoked', async () => {
    const { key, revoked } = world.keys;
    const bot = { type: 'agent', via: 'api-key', agentId: 'bot', permissions: ['ticket:read', 'order:write'] };
    expect(await request('/own', withKey(key))).toMatchObject({ status: 200, body: bot });
    for (const other of [revoked, `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`, `cap_ak_${'0'.repeat(32)}`])
      expect(await request('/own', withKey(other))).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('accepts a bound key once with a proof for the request that has a nonce', async () => {
    const send = async (
      signer: ClientKey,
      { nonce, htu = `${running.service}/bound` }: { nonce?: string; htu?: string },
    ) => {
      const proof = await dpop(signer, { htm: 'GET', htu, accessToken: world.keys.bound, nonce });
      return () => request('/bound', { authorization: `DPoP ${world.keys.bound}`, dpop: proof });
    };
    const first = await (await send(world.holder, {}))();
    expect(first).toMatchObject({ status: 401, body: { error: 'use_dpop_nonce' } });
    const nonce = first.headers.get('dpop-nonce')!;
    const valid = await send(world.holder, { nonce });
    expect(await valid()).toMatchObject({ status: 200, body: { agentId: 'bound', jkt: world.holder.thumbprint } });
    for (const repeated of [
      valid,
      await send(await makeKey(), { nonce }),
      await send(world.holder, { nonce, htu: `${running.service}/own` }),
    ])
      expect(await repeated()).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    const forged = await send(world.holder, { nonce: `${nonce.slice(0, -1)}${nonce.endsWith('A') ? 'B' : 'A'}` });
    expect((await forged()).body.error).toBe('use_dpop_nonce');
  });

  it('verifies proofs of each algorithm, and rejects new ones when its store is full', async () => {
    const nonce = (await request('/proof')).headers.get('dpop-nonce')!;
    const make = async (alg: string, more: object = {}) => {
      const { privateKey, publicKey } = await generateKeyPair(alg);
      const claims = { htm: 'GET', htu: `${running.service}/proof`, jti: crypto.randomUUID(), nonce };
      const jwk = { ...(await exportJWK(publicKey)), ...more };
      return new SignJWT(claims).setProtectedHeader({ alg, typ: 'dpop+jwt', jwk }).setIssuedAt().sign(privateKey);
    };
    const proofs = await Promise.all(PROOF_ALGORITHMS.map((alg) => make(alg)));
    const statuses = async (all: string[]) =>
      (await Promise.all(all.map((proof) => request('/proof', { dpop: proof })))).map(({ status }) => status);
    expect(await statuses(proofs)).toEqual(proofs.map(() => 200));
    const [sixth, seventh, other] = [await make('ES256'), await make('ES256'), await make('ES384')];
    const misnamed = await make('ES256', { crv: 'P-384' });
    expect(await statuses([other, misnamed])).toEqual([401, 401]);
    expect(await statuses([sixth])).toEqual([200]);
    expect(await statuses([seventh, ...proofs, sixth])).toEqual(Array(7).fill(401));
  });

  it('limits the rate per caller', async () => {
    const from = (caller: string) => request('/limited', { 'x-caller': caller });
    for (const remaining of ['2', '1', '0']) {
      const { status, headers } = await from('a');
      expect([status, headers.get('ratelimit-remaining')]).toEqual([200, remaining]);
    }
    const limited = await from('a');
    expect([limited.status, limited.body.error, Number(limited.headers.get('retry-after')) > 3000]).toEqual([
      429,
      'rate_limited',
      true,
    ]);
    expect((await from('b')).status).toBe(200);
    const session = { cookie: `capstan_session=${signSession({ userId: 'busy' }, world.secret, '1h')}` };
    const byUser = [
      await request('/limited', session),
      await request('/limited', session),
      await request('/limited', session),
    ];
    expect(byUser.map(({ status }) => status)).toEqual([200, 200, 429]);
  });

  it('enforces policies, and rejects invalid input', async () => {
    const { token } = (await request('/sign-in')).body;
    const order = (body: string, more = withKey(world.keys.key) as Record<string, string>) =>
      post('/orders', body, more);
    const session = { cookie: `capstan_session=${token}`, origin: running.service };
    expect(await order('{"amount":5}')).toMatchObject({ status: 200, body: { ordered: 5 } });
    expect(await order('{"amount":5}', session)).toMatchObject({ status: 403, body: { error: 'policy_denied' } });
    expect(await order('{"amount":5}', {})).toMatchObject({ status: 401, body: { error: 'no_auth' } });
    expect(await order('{"amount":"5"}')).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect((await order('{')).status).toBe(400);
    expect((await order(`"${'x'.repeat(1_100_000)}"`)).status).toBe(413);
  });

  it('runs an action once that a user approved at Signet', async () => {
    const amount = 1000 + runtimes.indexOf(runtime);
    const order = (id = '') =>
      post('/orders', `{"amount":${amount}}`, { ...withKey(world.keys.key), ...(id && { 'approval-id': id }) });
    const first = await order();
    expect(first).toMatchObject({ status: 202, body: { status: 'approval_required', reason: 'A large amount' } });
    const id = first.body.approval_id;
    const browser = new Browser(world.server.origin);
    await browser.signIn(world.agent.ownerEmail, PASSWORD);
    const page = await browser.open('/account/approvals');
    expect(page.html).toContain('A large amount');
    const form = formsOf(page.html).findIndex(({ action }) => action.startsWith('/account/approvals/'));
    await browser.submit(page, { decision: 'approve' }, form);
    world.advance(6000); // the minimum interval between polls
    expect(await post('/orders', '{"amount":9999}', { ...withKey(world.keys.key), 'approval-id': id })).toMatchObject({
      status: 403,
      body: { error: 'approval_denied' },
    });
    expect(await order(id)).toMatchObject({ status: 200, body: { ordered: amount } });
    world.advance(6000);
    expect((await order(id)).status).toBe(403);
  });

  it('signs in with a provider in the browser that started', async () => {
    const begin = async (provider = 'google') => {
      const { status, headers } = await request(`/auth/login/${provider}`);
      const to = new URL(headers.get('location')!);
      return { status, to, state: to.searchParams.get('state')!, nonce: to.searchParams.get('nonce') };
    };
    const back = (params: Record<string, string>, cookie: string) =>
      request(`/auth/callback?${new URLSearchParams(params)}`, { cookie: `capstan_oauth_state=${cookie}` });
    const { status, to, state, nonce } = await begin();
    expect([status, to.origin, to.searchParams.get('redirect_uri')]).toEqual([
      302,
      'https://accounts.google.com',
      `${running.service}/auth/callback`,
    ]);
    expect((await begin('github')).to.origin).toBe('https://github.com');
    expect((await request('/auth/login/evil')).status).toBe(404);
    const mismatch = { status: 400, body: { error: 'invalid_state' } };
    expect(await back({ code: `good.${nonce}`, state }, (await begin()).state)).toMatchObject(mismatch);
    expect(await back({ code: `good.${nonce}`, state: `${state}A` }, `${state}A`)).toMatchObject(mismatch);
    expect((await back({ code: 'bad', state }, state)).body.error).toBe('invalid_grant');
    expect((await back({ code: 'good.another', state }, state)).body.error).toBe('upstream_invalid_response');
    const signedIn = await back({ code: `good.${nonce}`, state }, state);
    expect([signedIn.status, signedIn.headers.get('location')]).toEqual([302, '/own']);
    const session = signedIn.headers.getSetCookie().find((cookie) => cookie.startsWith('capstan_session='))!;
    const me = await request('/own', { cookie: session.split(';')[0]! });
    expect(me.body).toMatchObject({ userId: 'google:1089', email: 'jane@example.com' });
  });

  it('returns the same results from helper functions', async () => {
    expect((await request('/small')).body).toEqual({
      key: [35, true, true, false],
      duration: [1_209_600, 'NaN'],
      permission: [true, false],
      serviceUnavailable: [true, 503],
      authResult: { auth: { type: 'anonymous', isAuthenticated: false } },
      csrf: 'csrf_validation_failed',
      decision: { effect: 'deny', reason: 'Only agents write', policy: 'agents' },
      unset: '',
      approval: 'Approval-Id',
    });
  });
});
