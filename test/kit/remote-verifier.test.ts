// The verifier for Signet's credentials: access tokens, key rotation, introspection and outages.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { decodeProtectedHeader } from 'jose';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createRemoteVerifier, IssuerUnavailable, type RemoteVerifierOptions } from '../../src/kit/index.js';
import { createAdmission } from '../../src/kit/protect.js';
import { dpop, makeKey } from '../support/client-keys.js';
import { AUDIENCE, ISSUER, openIssuer } from './issuer.js';
import { mutations } from './mutations.js';

let issuer: Awaited<ReturnType<typeof openIssuer>>;
beforeEach(async () => {
  issuer = await openIssuer();
});

const open = (options: Partial<RemoteVerifierOptions> = {}) =>
  createRemoteVerifier({ issuer: ISSUER, audience: AUDIENCE, fetch: issuer.fetch, now: issuer.now, ...options });
const requestWith = (authorization: string, headers: Record<string, string> = {}) =>
  new Request(`${AUDIENCE}/tickets?q=1`, { headers: { authorization, ...headers } });
const jwks = () => issuer.requests['/oauth/jwks'] ?? 0;
const validations = () => issuer.requests['/api/validate'] ?? 0;

describe('the remote verifier', () => {
  it('identifies the caller of an access token without a request to the issuer', async () => {
    const { resolve } = open();
    const token = await issuer.token();
    expect(await resolve(requestWith(`Bearer ${token}`))).toMatchObject({
      type: 'human',
      isAuthenticated: true,
      via: 'access-token',
      userId: 'user-1',
      clientId: 'app-1',
      scopes: ['ticket:read'],
      claims: { iss: ISSUER },
    });
    expect(await resolve(new Request(AUDIENCE, { headers: { 'x-api-key': token } }))).toMatchObject({ type: 'human' });
    expect(validations()).toBe(0);
  });

  it('treats a client that acts for itself or for a user as an agent', async () => {
    const { verify } = open();
    expect(await verify(await issuer.token({ sub: 'app-1' }))).toMatchObject({
      type: 'agent',
      agentId: 'app-1',
      permissions: ['ticket:read'],
    });
    const acting = await issuer.token({ act: { sub: 'agt_7' } });
    expect(await verify(acting)).toMatchObject({ type: 'agent', agentId: 'agt_7', onBehalfOf: 'user-1' });
  });

  it.each([
    ['another audience', { aud: 'https://other.example' }, {}, 'invalid_token'],
    ['another issuer', { iss: 'https://evil.example' }, {}, 'invalid_token'],
    ['an expiry in the past', { exp: 1 }, {}, 'expired_token'],
    ['no expiry', { exp: undefined }, {}, 'invalid_token'],
    ['no client', { client_id: undefined }, {}, 'invalid_token'],
    ['a start in the future', { nbf: 9_999_999_999 }, {}, 'invalid_token'],
    ['no type', {}, { typ: undefined }, 'invalid_token'],
    ['the type of an ID token', {}, { typ: 'JWT' }, 'invalid_token'],
    ['the type of a login', {}, { typ: 'session+jwt' }, 'invalid_token'],
    ['an unknown key', {}, { kid: 'unknown' }, 'invalid_token'],
  ])('rejects a token with %s', async (_, claims, header, error) => {
    const token = await issuer.token(claims, header);
    const { resolve } = open();
    expect(await resolve(requestWith(`Bearer ${token}`))).toMatchObject({
      type: 'anonymous',
      error: { status: 401, error },
    });
    expect(validations()).toBe(0);
  });

  it('rejects HMAC signatures and unsigned tokens', async () => {
    const token = await issuer.token();
    const [, payload, signature] = token.split('.');
    const headerWith = (alg: string) =>
      Buffer.from(JSON.stringify({ ...decodeProtectedHeader(token), alg })).toString('base64url');
    const hs256 = createHmac('sha256', ISSUER)
      .update(`${headerWith('HS256')}.${payload}`)
      .digest('base64url');
    const { verify } = open();
    for (const other of [
      `${headerWith('none')}.${payload}.`,
      `${headerWith('none')}.${payload}.${signature}`,
      `${headerWith('HS256')}.${payload}.${hs256}`,
    ])
      expect((await verify(other)).type).toBe('anonymous');
  });

  it('rejects any mutation, and does not forward the token to the issuer', async () => {
    const { verify } = open();
    const token = await issuer.token();
    const changed = mutations(token).filter((other) => other.includes('.'));
    await fc.assert(
      fc.asyncProperty(changed, async (other) => !(await verify(other)).isAuthenticated),
      { numRuns: 300 },
    );
    expect(validations()).toBe(0);
  });

  it('never throws, and returns anonymous for any other input', async () => {
    const { verify } = open();
    await fc.assert(fc.asyncProperty(fc.anything(), async (any) => !(await verify(any as string)).isAuthenticated));
  });

  it('accepts login tokens only with acceptLogins, and only with their own audience', async () => {
    const login = await issuer.token(
      { aud: `${ISSUER}/api/v1`, role: 'admin', email: 'a@b.c' },
      { typ: 'session+jwt' },
    );
    const forApi = await issuer.token({ aud: `${ISSUER}/api/v1` });
    expect((await open().verify(login)).type).toBe('anonymous');
    const verifier = open({ acceptLogins: true });
    expect(await verifier.verify(login)).toMatchObject({
      type: 'human',
      via: 'login',
      userId: 'user-1',
      role: 'admin',
    });
    expect((await verifier.verify(forApi)).type).toBe('anonymous');
    expect((await verifier.verify(await issuer.token({}, { typ: 'session+jwt' }))).type).toBe('anonymous');
  });

  it('rejects several and malformed credentials', async () => {
    const { resolve } = open();
    const token = await issuer.token();
    for (const headers of [
      requestWith(`Basic ${token}`),
      requestWith(`Bearer ${token}`, { 'x-api-key': 'another' }),
      requestWith('Bearer'),
      requestWith('Bearer a b'),
    ])
      expect(await resolve(headers)).toMatchObject({ type: 'anonymous', error: { status: 401 } });
    expect(await resolve(new Request(`${AUDIENCE}/?access_token=${token}`))).toEqual({
      type: 'anonymous',
      isAuthenticated: false,
    });
  });
});

describe('a DPoP-bound token', () => {
  it('requires a proof, which is accepted once', async () => {
    const [key, otherKey] = [await makeKey(), await makeKey()];
    const { resolve, verify } = open();
    const token = await issuer.token({ cnf: { jkt: key.thumbprint } });
    const proof = (signer = key, htu = `${AUDIENCE}/tickets`) => dpop(signer, { htm: 'GET', htu, accessToken: token });
    const valid = await proof();
    expect(await resolve(requestWith(`DPoP ${token}`, { dpop: valid }))).toMatchObject({
      type: 'human',
      jkt: key.thumbprint,
    });
    for (const request of [
      requestWith(`DPoP ${token}`, { dpop: valid }),
      requestWith(`DPoP ${token}`, { dpop: await proof(otherKey) }),
      requestWith(`DPoP ${token}`, { dpop: await proof(key, `${AUDIENCE}/other`) }),
      requestWith(`DPoP ${token}`),
      requestWith(`Bearer ${token}`),
      requestWith(`Bearer ${token}`, { dpop: await proof() }),
      new Request(AUDIENCE, { headers: { 'x-api-key': token } }),
      requestWith(`DPoP ${await issuer.token()}`, { dpop: await proof() }),
    ]) {
      expect((await resolve(request)).type).toBe('anonymous');
    }
    expect((await verify(token)).type).toBe('anonymous');
  });

  it('is rejected as a bearer token, with a description of its binding', async () => {
    const { resolve } = open();
    const descriptionFor = async (cnf: object) => {
      const auth = await resolve(requestWith(`Bearer ${await issuer.token({ cnf })}`));
      return auth.type === 'anonymous' ? auth.error?.description : auth;
    };
    expect(await descriptionFor({ jkt: 'abc' })).toMatch(/DPoP/);
    for (const cnf of [{ 'x5t#S256': 'abc' }, { jkt: 'abc', 'x5t#S256': 'abc' }, {}]) {
      expect(await descriptionFor(cnf)).toMatch(/certificate/);
      expect(await descriptionFor(cnf)).not.toMatch(/DPoP/);
    }
  });

  it('is rejected if it is also bound to a certificate', async () => {
    const key = await makeKey();
    const { resolve } = open();
    for (const more of [{}, { 'x5t#S256': 'abc' }]) {
      const token = await issuer.token({ cnf: { jkt: key.thumbprint, ...more } });
      const proof = await dpop(key, { htm: 'GET', htu: `${AUDIENCE}/tickets`, accessToken: token });
      const { isAuthenticated } = await resolve(requestWith(`DPoP ${token}`, { dpop: proof }));
      expect(isAuthenticated).toBe(Object.keys(more).length === 0);
    }
  });
});

describe('the keys of the issuer', () => {
  it('are fetched once for concurrent requests, and again for a new key', async () => {
    const { verify } = open();
    const old = await issuer.token();
    await Promise.all(Array.from({ length: 20 }, () => verify(old)));
    expect(jwks()).toBe(1);
    issuer.wait(31);
    await issuer.rotate();
    const token = await issuer.token();
    const all = await Promise.all(Array.from({ length: 20 }, () => verify(token)));
    expect(all.every(({ isAuthenticated }) => isAuthenticated)).toBe(true);
    expect(jwks()).toBe(2);
    expect((await verify(old)).type).toBe('human');
  });

  it('are fetched for unknown keys at most every 30 s', async () => {
    const { verify } = open();
    for (let n = 0; n < 5; n += 1)
      expect((await verify(await issuer.token({}, { kid: `unknown-${n}` }))).type).toBe('anonymous');
    expect(jwks()).toBe(1);
    issuer.wait(31);
    await verify(await issuer.token({}, { kid: 'unknown' }));
    expect(jwks()).toBe(2);
  });

  it('are rejected ten minutes after they were withdrawn, also without traffic', async () => {
    const { verify } = open();
    const token = await issuer.token();
    await verify(token);
    await issuer.rotate({ withdraw: true });
    issuer.wait(601);
    expect((await verify(token)).type).toBe('anonymous');
  });

  it('stay in use during an outage for keepFor, and no longer', async () => {
    const { verify } = open({ keys: { keepFor: '30m' } });
    const token = await issuer.token();
    await verify(token);
    issuer.state.isUnavailable = true;
    issuer.wait(29 * 60);
    expect((await verify(token)).type).toBe('human');
    issuer.wait(2 * 60);
    await expect(verify(token)).rejects.toBeInstanceOf(IssuerUnavailable);
    issuer.state.isUnavailable = false;
    issuer.wait(3);
    expect((await verify(token)).type).toBe('human');
  });

  it('are fetched again after the clock was set back', async () => {
    issuer.wait(3600);
    const { verify } = open();
    await verify(await issuer.token());
    issuer.wait(-3600);
    await issuer.rotate();
    expect((await verify(await issuer.token())).type).toBe('human');
  });

  it('cause a 503 if they were never fetched', async () => {
    issuer.state.isUnavailable = true;
    const failure = await open()
      .verify(await issuer.token())
      .catch((error) => error);
    expect(failure).toMatchObject({
      name: 'IssuerUnavailable',
      authError: { status: 503, headers: { 'Retry-After': '2' } },
    });
  });

  it('are not accepted from a server that identifies as another issuer', async () => {
    issuer.state.discovered = 'https://evil.example';
    await expect(open().verify(await issuer.token())).rejects.toBeInstanceOf(IssuerUnavailable);
  });
});

describe('introspection', () => {
  const user = { id: 'user-1', name: 'Alice', email: 'alice@example.com', role: 'viewer' };

  it('caches a result for a second, valid or not', async () => {
    const { verify } = open();
    issuer.responses.set('sk_live_good', { user });
    const results = await Promise.all(Array.from({ length: 10 }, () => verify('sk_live_good')));
    for (const auth of results)
      expect(auth).toMatchObject({ type: 'human', via: 'introspected', userId: 'user-1', name: 'Alice' });
    expect(validations()).toBe(1);
    issuer.responses.clear(); // revoked
    issuer.wait(0.9);
    expect((await verify('sk_live_good')).type).toBe('human');
    issuer.wait(0.2);
    expect((await verify('sk_live_good')).type).toBe('anonymous');
    expect((await verify('sk_live_good')).type).toBe('anonymous');
    expect(validations()).toBe(2);
    expect(issuer.validated[0]).toEqual({ authorization: 'Bearer sk_live_good', body: {} });
  });

  it('caches a bounded number of results', async () => {
    const { verify } = open({ validation: { maxEntries: 2 } });
    for (const key of ['a', 'b', 'c', 'c', 'b', 'a']) await verify(key);
    expect(validations()).toBe(4);
  });

  it('results in 503 during an outage, which is not cached', async () => {
    const { verify } = open();
    issuer.responses.set('sk_live_good', { user });
    issuer.state.isUnavailable = true;
    await expect(verify('sk_live_good')).rejects.toBeInstanceOf(IssuerUnavailable);
    issuer.state.isUnavailable = false;
    expect((await verify('sk_live_good')).type).toBe('human');
  });

  it('returns a user limited by the key, or an agent, with acceptKeys', async () => {
    const { verify } = open({ acceptKeys: true });
    const key = {
      type: 'api_key',
      id: 'key_1',
      name: 'CI',
      role: 'viewer',
      scopes: ['ticket:read'],
      organization_id: 'co_1',
    };
    issuer.responses.set('sk_live_1', { user, principal: key });
    expect(await verify('sk_live_1')).toMatchObject({
      type: 'human',
      userId: 'user-1',
      scopes: ['ticket:read'],
      claims: key,
    });
    issuer.responses.set('ocs_live_1', {
      user,
      principal: { type: 'agent', id: 'agt_1', agent_id: 'bot', name: 'Bot', scopes: [] },
    });
    expect(await verify('ocs_live_1')).toMatchObject({ type: 'agent', agentId: 'agt_1', agentName: 'Bot' });
    const app = {
      user: { id: 'app-1', name: 'app-1', email: null },
      principal: { type: 'client', client_id: 'app-1', scopes: ['a'] },
    };
    issuer.responses.set('opaque', app);
    expect(await verify('opaque')).toMatchObject({ type: 'agent', agentId: 'app-1', permissions: ['a'] });
  });

  // The creator of a key chooses its scopes, so they grant nothing by themselves.
  describe('of a key', () => {
    const apiKey = { type: 'api_key', id: 'key_1', name: 'CI', role: 'viewer', scopes: ['ticket:delete'] };
    const agent = { type: 'agent', id: 'agt_1', agent_id: 'bot', name: 'Bot', scopes: ['admin'], claimed: true };
    const unclaimed = { ...agent, claimed: false };
    const admission = async (principal: object, options: Partial<RemoteVerifierOptions> = {}, permission?: string) => {
      issuer.responses.set('key', { user, principal, ...(permission && { permission }) });
      const { resolve } = open({ ...options, validation: { cacheFor: '0s' } });
      const authResult = await createAdmission(resolve, { scope: 'ticket:delete' })(requestWith('Bearer key'));
      return 'auth' in authResult ? 'admitted' : authResult.error.status;
    };

    it('grants nothing without acceptKeys or tool', async () => {
      for (const principal of [apiKey, agent, unclaimed, { ...agent, type: 'unknown' }]) {
        expect(await admission(principal), JSON.stringify(principal)).toBe(401);
        expect(await admission(principal, { online: true })).toBe(401);
      }
      for (const principal of [apiKey, agent]) {
        expect(await admission(principal, { acceptKeys: true })).toBe('admitted');
        expect(await admission(principal, { tool: 'tickets' }, 'write')).toBe('admitted');
        expect(await admission(principal, { tool: 'tickets' })).toBe(403);
      }
      const app = { type: 'client', client_id: 'app-1', scopes: ['ticket:delete'] };
      expect(await admission(app)).toBe('admitted');
    });

    it('drops the scopes without access to the tool', async () => {
      const { verify } = open({ tool: 'tickets', validation: { cacheFor: '0s' } });
      issuer.responses.set('key', { user, principal: agent });
      expect(await verify('key')).toMatchObject({ type: 'agent', permissions: [], scopes: [], level: null });
      issuer.responses.set('key', { user, principal: apiKey });
      expect(await verify('key')).toMatchObject({ type: 'human', scopes: [], level: null });
    });

    it('rejects unclaimed agents without acceptUnclaimedAgents', async () => {
      expect(await admission(unclaimed, { acceptKeys: true })).toBe(401);
      expect(await admission(unclaimed, { tool: 'tickets' }, 'admin')).toBe(401);
      expect(await admission(unclaimed, { acceptUnclaimedAgents: true })).toBe(401);
      expect(await admission(unclaimed, { acceptKeys: true, acceptUnclaimedAgents: true })).toBe('admitted');
      const token = await issuer.token({ sub: 'agt_1', client_id: 'agt_1', claimed: false });
      expect((await open().verify(token)).type).toBe('anonymous');
      expect((await open({ acceptUnclaimedAgents: true }).verify(token)).type).toBe('agent');
      const withoutClaim = await issuer.token({ sub: 'agt_1', client_id: 'agt_1' });
      issuer.responses.set(withoutClaim, { user, principal: unclaimed });
      expect((await open({ online: true }).verify(withoutClaim)).type).toBe('anonymous');
    });
  });

  it('includes the access level at a tool, for every token', async () => {
    const { verify } = open({ tool: 'tickets' });
    const token = await issuer.token();
    issuer.responses.set(token, { user, permission: 'write' });
    expect(await verify(token)).toMatchObject({ via: 'access-token', scopes: ['ticket:read'], level: 'write' });
    expect(issuer.validated[0]!.body).toEqual({ tool: 'tickets' });
    issuer.responses.set('cb_1', { user, permission: null, error: 'No access to this tool' });
    expect(await verify('cb_1')).toMatchObject({ type: 'human', level: null });
  });

  it('sees a revocation with online', async () => {
    const { verify } = open({ online: true });
    const token = await issuer.token();
    issuer.responses.set(token, { user });
    expect((await verify(token)).type).toBe('human');
    issuer.responses.clear();
    issuer.wait(1.1);
    expect((await verify(token)).type).toBe('anonymous');
    expect((await verify(await issuer.token({ aud: 'https://other.example' }))).type).toBe('anonymous');
    expect(validations()).toBe(2);
  });

  it('forwards the proof of an opaque token each time', async () => {
    const { resolve } = open();
    issuer.responses.set('opaque', { user });
    const request = () => requestWith('DPoP opaque', { dpop: 'the.proof.itself' });
    for (let n = 0; n < 2; n += 1) expect((await resolve(request())).type).toBe('human');
    const dpopForwarded = { proof: 'the.proof.itself', htm: 'GET', htu: `${AUDIENCE}/tickets` };
    expect(issuer.validated).toEqual(Array(2).fill({ authorization: 'DPoP opaque', body: { dpop: dpopForwarded } }));
    expect((await resolve(requestWith('DPoP opaque'))).type).toBe('anonymous');
  });
});

// On edge runtimes a fetch is canceled together with the request that started it.
describe('the remote verifier on edge runtimes', () => {
  beforeEach(() => {
    vi.stubGlobal('EdgeRuntime', 'edge-runtime');
    return () => vi.unstubAllGlobals();
  });

  it('does not let requests wait for each other, and shares results afterwards', async () => {
    const { verify } = open({ acceptKeys: true });
    issuer.responses.set('sk_live_good', { user: { id: 'user-1' } });
    issuer.state.delay = new Promise(() => {});
    const credentials = [await issuer.token(), 'sk_live_good'];
    for (const credential of credentials) void verify(credential);
    await new Promise((resolve) => setTimeout(resolve));
    issuer.state.delay = Promise.resolve();
    for (const credential of credentials) expect((await verify(credential)).type).toBe('human');
    const counts = [jwks(), validations()];
    for (const credential of credentials) expect((await verify(credential)).type).toBe('human');
    expect([jwks(), validations()]).toEqual(counts);
  });

  it('still fetches keys at most every 30 s', async () => {
    const { verify } = open();
    for (let n = 0; n < 5; n += 1) await verify(await issuer.token({}, { kid: `unknown-${n}` }));
    expect(jwks()).toBe(1);
  });

  it('refreshes old keys before the response, while other requests use known keys', async () => {
    const { verify } = open();
    const token = await issuer.token();
    await verify(token);
    issuer.wait(301);
    issuer.state.delay = new Promise(() => {});
    void verify(token);
    expect((await verify(token)).type).toBe('human');
    issuer.state.delay = Promise.resolve();
    issuer.wait(300);
    expect((await verify(token)).type).toBe('human');
    expect(jwks()).toBe(2);
  });
});

describe('createRemoteVerifier', () => {
  it('throws for options that cannot work', () => {
    for (const options of [
      { issuer: 'http://id.example.com' },
      { issuer: 'id.example.com' },
      { audience: '' },
      { audience: [] },
      { keys: { keepFor: 'forever' } },
      { validation: { cacheFor: '1' } },
    ])
      expect(() => open(options), JSON.stringify(options)).toThrow(TypeError);
    expect(() => open({ issuer: 'http://localhost:3000' })).not.toThrow();
  });
});
