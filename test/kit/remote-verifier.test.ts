// Tokens of an issuer elsewhere: which are taken, what happens when its keys change, and when it is
// away.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { decodeProtectedHeader } from 'jose';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createRemoteVerifier, IssuerUnavailable, type RemoteVerifierOptions } from '../../src/kit/index.js';
import { createAdmission } from '../../src/kit/protect.js';
import { dpop, makeKey } from '../support/proofs.js';
import { AUDIENCE, ISSUER, openIssuer } from './issuer.js';
import { mutations } from './mutations.js';

let issuer: Awaited<ReturnType<typeof openIssuer>>;
beforeEach(async () => {
  issuer = await openIssuer();
});

const open = (options: Partial<RemoteVerifierOptions> = {}) =>
  createRemoteVerifier({ issuer: ISSUER, audience: AUDIENCE, fetch: issuer.fetch, now: issuer.now, ...options });
const bearing = (authorization: string, headers: Record<string, string> = {}) =>
  new Request(`${AUDIENCE}/tickets?q=1`, { headers: { authorization, ...headers } });
const jwks = () => issuer.asked['/oauth/jwks'] ?? 0;
const validations = () => issuer.asked['/api/validate'] ?? 0;

describe('an access token', () => {
  it('says who is behind it, and is checked without a question', async () => {
    const { resolve } = open();
    const token = await issuer.token();
    expect(await resolve(bearing(`Bearer ${token}`))).toMatchObject({
      type: 'human',
      isAuthenticated: true,
      via: 'access-token',
      userId: 'person-1',
      clientId: 'app-1',
      scopes: ['ticket:read'],
      claims: { iss: ISSUER },
    });
    expect(await resolve(new Request(AUDIENCE, { headers: { 'x-api-key': token } }))).toMatchObject({ type: 'human' });
    expect(validations()).toBe(0);
  });

  it('of a client for itself, or for a person who let it, is that of an agent', async () => {
    const { verify } = open();
    expect(await verify(await issuer.token({ sub: 'app-1' }))).toMatchObject({
      type: 'agent',
      agentId: 'app-1',
      permissions: ['ticket:read'],
    });
    const acting = await issuer.token({ act: { sub: 'agt_7' } });
    expect(await verify(acting)).toMatchObject({ type: 'agent', agentId: 'agt_7', onBehalfOf: 'person-1' });
  });

  it.each([
    ['another audience', { aud: 'https://other.example' }, {}, 'invalid_token'],
    ['another issuer', { iss: 'https://evil.example' }, {}, 'invalid_token'],
    ['its time over', { exp: 1 }, {}, 'expired_token'],
    ['no end', { exp: undefined }, {}, 'invalid_token'],
    ['no client', { client_id: undefined }, {}, 'invalid_token'],
    ['a beginning later on', { nbf: 9_999_999_999 }, {}, 'invalid_token'],
    ['no type', {}, { typ: undefined }, 'invalid_token'],
    ['the type of an ID token', {}, { typ: 'JWT' }, 'invalid_token'],
    ['the type of a login', {}, { typ: 'session+jwt' }, 'invalid_token'],
    ['an unknown key', {}, { kid: 'unknown' }, 'invalid_token'],
  ])('with %s is refused', async (_, claims, header, error) => {
    const token = await issuer.token(claims, header);
    const { resolve } = open();
    expect(await resolve(bearing(`Bearer ${token}`))).toMatchObject({
      type: 'anonymous',
      refusal: { status: 401, error },
    });
    expect(validations()).toBe(0);
  });

  it('is refused when it is signed with the public key as a secret, or with nothing', async () => {
    const token = await issuer.token();
    const [, payload, signature] = token.split('.');
    const head = (alg: string) =>
      Buffer.from(JSON.stringify({ ...decodeProtectedHeader(token), alg })).toString('base64url');
    const hs256 = createHmac('sha256', ISSUER)
      .update(`${head('HS256')}.${payload}`)
      .digest('base64url');
    const { verify } = open();
    for (const other of [
      `${head('none')}.${payload}.`,
      `${head('none')}.${payload}.${signature}`,
      `${head('HS256')}.${payload}.${hs256}`,
    ])
      expect((await verify(other)).type).toBe('anonymous');
  });

  it('is refused with anything changed, and is not asked about as if it were something else', async () => {
    const { verify } = open();
    const token = await issuer.token();
    const changed = mutations(token).filter((other) => other.includes('.'));
    await fc.assert(
      fc.asyncProperty(changed, async (other) => !(await verify(other)).isAuthenticated),
      { numRuns: 300 },
    );
    expect(validations()).toBe(0);
  });

  it('is nobody, whatever comes, and nothing is thrown', async () => {
    const { verify } = open();
    await fc.assert(fc.asyncProperty(fc.anything(), async (any) => !(await verify(any as string)).isAuthenticated));
  });

  it('of a login is taken only by those who say so, and by them not as anything else', async () => {
    const login = await issuer.token(
      { aud: `${ISSUER}/api/v1`, role: 'admin', email: 'a@b.c' },
      { typ: 'session+jwt' },
    );
    const forApi = await issuer.token({ aud: `${ISSUER}/api/v1` });
    expect((await open().verify(login)).type).toBe('anonymous');
    const ours = open({ acceptLogins: true });
    expect(await ours.verify(login)).toMatchObject({ type: 'human', via: 'login', userId: 'person-1', role: 'admin' });
    expect((await ours.verify(forApi)).type).toBe('anonymous');
    expect((await ours.verify(await issuer.token({}, { typ: 'session+jwt' }))).type).toBe('anonymous');
  });

  it('is one credential, or none', async () => {
    const { resolve } = open();
    const token = await issuer.token();
    for (const headers of [
      bearing(`Basic ${token}`),
      bearing(`Bearer ${token}`, { 'x-api-key': 'another' }),
      bearing('Bearer'),
      bearing('Bearer a b'),
    ])
      expect(await resolve(headers)).toMatchObject({ type: 'anonymous', refusal: { status: 401 } });
    expect(await resolve(new Request(`${AUDIENCE}/?access_token=${token}`))).toEqual({
      type: 'anonymous',
      isAuthenticated: false,
    });
  });
});

describe('a token that is bound to a key', () => {
  it('is worth nothing without its proof, and the proof counts once', async () => {
    const [key, thief] = [await makeKey(), await makeKey()];
    const { resolve, verify } = open();
    const token = await issuer.token({ cnf: { jkt: key.thumbprint } });
    const proof = (by = key, htu = `${AUDIENCE}/tickets`) => dpop(by, { htm: 'GET', htu, accessToken: token });
    const good = await proof();
    expect(await resolve(bearing(`DPoP ${token}`, { dpop: good }))).toMatchObject({
      type: 'human',
      jkt: key.thumbprint,
    });
    for (const refused of [
      bearing(`DPoP ${token}`, { dpop: good }),
      bearing(`DPoP ${token}`, { dpop: await proof(thief) }),
      bearing(`DPoP ${token}`, { dpop: await proof(key, `${AUDIENCE}/other`) }),
      bearing(`DPoP ${token}`),
      bearing(`Bearer ${token}`),
      bearing(`Bearer ${token}`, { dpop: await proof() }),
      new Request(AUDIENCE, { headers: { 'x-api-key': token } }),
      bearing(`DPoP ${await issuer.token()}`, { dpop: await proof() }),
    ]) {
      expect((await resolve(refused)).type).toBe('anonymous');
    }
    expect((await verify(token)).type).toBe('anonymous');
  });

  it('says what it is bound to: a proof is no help with a certificate', async () => {
    const { resolve } = open();
    const why = async (cnf: object) => {
      const auth = await resolve(bearing(`Bearer ${await issuer.token({ cnf })}`));
      return auth.type === 'anonymous' ? auth.refusal?.description : auth;
    };
    expect(await why({ jkt: 'abc' })).toMatch(/DPoP/);
    for (const cnf of [{ 'x5t#S256': 'abc' }, { jkt: 'abc', 'x5t#S256': 'abc' }, {}]) {
      expect(await why(cnf)).toMatch(/certificate/);
      expect(await why(cnf)).not.toMatch(/DPoP/);
    }
  });

  it('and to a certificate as well is refused, as no certificate is looked at', async () => {
    const key = await makeKey();
    const { resolve } = open();
    for (const more of [{}, { 'x5t#S256': 'abc' }]) {
      const token = await issuer.token({ cnf: { jkt: key.thumbprint, ...more } });
      const proof = await dpop(key, { htm: 'GET', htu: `${AUDIENCE}/tickets`, accessToken: token });
      const { isAuthenticated } = await resolve(bearing(`DPoP ${token}`, { dpop: proof }));
      expect(isAuthenticated).toBe(Object.keys(more).length === 0);
    }
  });
});

describe('keys', () => {
  it('are read once for all who come at first, and again for a new one', async () => {
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

  it('that nobody has are asked for at most every 30 s', async () => {
    const { verify } = open();
    for (let n = 0; n < 5; n += 1)
      expect((await verify(await issuer.token({}, { kid: `made-up-${n}` }))).type).toBe('anonymous');
    expect(jwks()).toBe(1);
    issuer.wait(31);
    await verify(await issuer.token({}, { kid: 'made-up' }));
    expect(jwks()).toBe(2);
  });

  it('that leaked are refused after ten minutes, also when nobody came for long', async () => {
    const { verify } = open();
    const stolen = await issuer.token();
    await verify(stolen);
    await issuer.rotate({ leaked: true });
    issuer.wait(601);
    expect((await verify(stolen)).type).toBe('anonymous');
  });

  it('serve while the issuer is away, for as long as that was said, and no longer', async () => {
    const { verify } = open({ keys: { keepFor: '30m' } });
    const token = await issuer.token();
    await verify(token);
    issuer.state.away = true;
    issuer.wait(29 * 60);
    expect((await verify(token)).type).toBe('human');
    issuer.wait(2 * 60);
    await expect(verify(token)).rejects.toBeInstanceOf(IssuerUnavailable);
    issuer.state.away = false;
    issuer.wait(3);
    expect((await verify(token)).type).toBe('human');
  });

  it('are read again when the clock was put back', async () => {
    issuer.wait(3600);
    const { verify } = open();
    await verify(await issuer.token());
    issuer.wait(-3600);
    await issuer.rotate();
    expect((await verify(await issuer.token())).type).toBe('human');
  });

  it('that were never read are a 503, not a no', async () => {
    issuer.state.away = true;
    const failure = await open()
      .verify(await issuer.token())
      .catch((error) => error);
    expect(failure).toMatchObject({
      name: 'IssuerUnavailable',
      refusal: { status: 503, headers: { 'Retry-After': '2' } },
    });
  });

  it('of whoever calls itself otherwise are not believed', async () => {
    issuer.state.calls = 'https://evil.example';
    await expect(open().verify(await issuer.token())).rejects.toBeInstanceOf(IssuerUnavailable);
  });
});

describe('what only the issuer knows', () => {
  const user = { id: 'person-1', name: 'Alice', email: 'alice@example.com', role: 'viewer' };

  it('is asked, and remembered for a second, yes or no', async () => {
    const { verify } = open();
    issuer.answers.set('sk_live_good', { user });
    const ask = () => Promise.all(Array.from({ length: 10 }, () => verify('sk_live_good')));
    for (const auth of await ask())
      expect(auth).toMatchObject({ type: 'human', via: 'introspected', userId: 'person-1', name: 'Alice' });
    expect(validations()).toBe(1);
    issuer.answers.clear(); // revoked
    issuer.wait(0.9);
    expect((await verify('sk_live_good')).type).toBe('human');
    issuer.wait(0.2);
    expect((await verify('sk_live_good')).type).toBe('anonymous');
    expect((await verify('sk_live_good')).type).toBe('anonymous');
    expect(validations()).toBe(2);
    expect(issuer.validated[0]).toEqual({ authorization: 'Bearer sk_live_good', body: {} });
  });

  it('is remembered of a bounded number of credentials', async () => {
    const { verify } = open({ validation: { maxEntries: 2 } });
    for (const key of ['a', 'b', 'c', 'c', 'b', 'a']) await verify(key);
    expect(validations()).toBe(4);
  });

  it('is a 503 while the issuer is away, and that is not remembered', async () => {
    const { verify } = open();
    issuer.answers.set('sk_live_good', { user });
    issuer.state.away = true;
    await expect(verify('sk_live_good')).rejects.toBeInstanceOf(IssuerUnavailable);
    issuer.state.away = false;
    expect((await verify('sk_live_good')).type).toBe('human');
  });

  it('is a person with the bounds of their key, or an agent where one acts, where keys are taken', async () => {
    const { verify } = open({ acceptKeys: true });
    const key = {
      type: 'api_key',
      id: 'key_1',
      name: 'CI',
      role: 'viewer',
      scopes: ['ticket:read'],
      organization_id: 'co_1',
    };
    issuer.answers.set('sk_live_1', { user, principal: key });
    expect(await verify('sk_live_1')).toMatchObject({
      type: 'human',
      userId: 'person-1',
      scopes: ['ticket:read'],
      claims: key,
    });
    issuer.answers.set('ocs_live_1', {
      user,
      principal: { type: 'agent', id: 'agt_1', agent_id: 'bot', name: 'Bot', scopes: [] },
    });
    expect(await verify('ocs_live_1')).toMatchObject({ type: 'agent', agentId: 'agt_1', agentName: 'Bot' });
    const app = {
      user: { id: 'app-1', name: 'app-1', email: null },
      principal: { type: 'client', client_id: 'app-1', scopes: ['a'] },
    };
    issuer.answers.set('opaque', app);
    expect(await verify('opaque')).toMatchObject({ type: 'agent', agentId: 'app-1', permissions: ['a'] });
  });

  describe('of a key, whose holder chose what it says,', () => {
    const apiKey = { type: 'api_key', id: 'key_1', name: 'CI', role: 'viewer', scopes: ['ticket:delete'] };
    const agent = { type: 'agent', id: 'agt_1', agent_id: 'bot', name: 'Bot', scopes: ['admin'], claimed: true };
    const unclaimed = { ...agent, claimed: false };
    const admits = async (principal: object, options: Partial<RemoteVerifierOptions> = {}, permission?: string) => {
      issuer.answers.set('key', { user, principal, ...(permission && { permission }) });
      const { resolve } = open({ ...options, validation: { cacheFor: '0s' } });
      const authResult = await createAdmission(resolve, { scope: 'ticket:delete' })(bearing('Bearer key'));
      return 'auth' in authResult ? 'admitted' : authResult.refusal.status;
    };

    it('is nothing, unless the service takes keys or is told what they may', async () => {
      for (const principal of [apiKey, agent, unclaimed, { ...agent, type: 'something new' }]) {
        expect(await admits(principal), JSON.stringify(principal)).toBe(401);
        expect(await admits(principal, { online: true })).toBe(401);
      }
      for (const principal of [apiKey, agent]) {
        expect(await admits(principal, { acceptKeys: true })).toBe('admitted');
        expect(await admits(principal, { tool: 'tickets' }, 'write')).toBe('admitted');
        expect(await admits(principal, { tool: 'tickets' })).toBe(403);
      }
      const app = { type: 'client', client_id: 'app-1', scopes: ['ticket:delete'] };
      expect(await admits(app)).toBe('admitted');
    });

    it('is left out where it may do nothing at the tool', async () => {
      const { verify } = open({ tool: 'tickets', validation: { cacheFor: '0s' } });
      issuer.answers.set('key', { user, principal: agent });
      expect(await verify('key')).toMatchObject({ type: 'agent', permissions: [], scopes: [], level: null });
      issuer.answers.set('key', { user, principal: apiKey });
      expect(await verify('key')).toMatchObject({ type: 'human', scopes: [], level: null });
    });

    it('is nothing of an agent that nobody answers for, unless the service says so', async () => {
      expect(await admits(unclaimed, { acceptKeys: true })).toBe(401);
      expect(await admits(unclaimed, { tool: 'tickets' }, 'admin')).toBe(401);
      expect(await admits(unclaimed, { acceptUnclaimedAgents: true })).toBe(401);
      expect(await admits(unclaimed, { acceptKeys: true, acceptUnclaimedAgents: true })).toBe('admitted');
      const token = await issuer.token({ sub: 'agt_1', client_id: 'agt_1', claimed: false });
      expect((await open().verify(token)).type).toBe('anonymous');
      expect((await open({ acceptUnclaimedAgents: true }).verify(token)).type).toBe('agent');
      const silent = await issuer.token({ sub: 'agt_1', client_id: 'agt_1' });
      issuer.answers.set(silent, { user, principal: unclaimed });
      expect((await open({ online: true }).verify(silent)).type).toBe('anonymous');
    });
  });

  it('includes what the credential may at a tool, and then every token is asked about', async () => {
    const { verify } = open({ tool: 'tickets' });
    const token = await issuer.token();
    issuer.answers.set(token, { user, permission: 'write' });
    expect(await verify(token)).toMatchObject({ via: 'access-token', scopes: ['ticket:read'], level: 'write' });
    expect(issuer.validated[0]!.body).toEqual({ tool: 'tickets' });
    issuer.answers.set('cb_1', { user, permission: null, error: 'No access to this tool' });
    expect(await verify('cb_1')).toMatchObject({ type: 'human', level: null });
  });

  it('includes that a token was revoked, for those who ask', async () => {
    const { verify } = open({ online: true });
    const token = await issuer.token();
    issuer.answers.set(token, { user });
    expect((await verify(token)).type).toBe('human');
    issuer.answers.clear();
    issuer.wait(1.1);
    expect((await verify(token)).type).toBe('anonymous');
    expect((await verify(await issuer.token({ aud: 'https://other.example' }))).type).toBe('anonymous');
    expect(validations()).toBe(2);
  });

  it('hears the proof of an opaque token each time', async () => {
    const { resolve } = open();
    issuer.answers.set('opaque', { user });
    const request = () => bearing('DPoP opaque', { dpop: 'the.proof.itself' });
    for (let n = 0; n < 2; n += 1) expect((await resolve(request())).type).toBe('human');
    const dpopForwarded = { proof: 'the.proof.itself', htm: 'GET', htu: `${AUDIENCE}/tickets` };
    expect(issuer.validated).toEqual(Array(2).fill({ authorization: 'DPoP opaque', body: { dpop: dpopForwarded } }));
    expect((await resolve(bearing('DPoP opaque'))).type).toBe('anonymous');
  });
});

describe('at the edge, where a question ends with the request that asked it', () => {
  beforeEach(() => {
    vi.stubGlobal('EdgeRuntime', 'edge-runtime');
    return () => vi.unstubAllGlobals();
  });

  it('nobody waits for the answer to somebody else, and what was answered is known to all', async () => {
    const { verify } = open({ acceptKeys: true });
    issuer.answers.set('sk_live_good', { user: { id: 'person-1' } });
    issuer.state.holdBack = new Promise(() => {});
    const credentials = [await issuer.token(), 'sk_live_good'];
    for (const credential of credentials) void verify(credential);
    await new Promise((resolve) => setTimeout(resolve));
    issuer.state.holdBack = Promise.resolve();
    for (const credential of credentials) expect((await verify(credential)).type).toBe('human');
    const asked = [jwks(), validations()];
    for (const credential of credentials) expect((await verify(credential)).type).toBe('human');
    expect([jwks(), validations()]).toEqual(asked);
  });

  it('keys are asked for at most every 30 s nevertheless', async () => {
    const { verify } = open();
    for (let n = 0; n < 5; n += 1) await verify(await issuer.token({}, { kid: `made-up-${n}` }));
    expect(jwks()).toBe(1);
  });

  it('keys that are old are read again before the answer, while all others are served by those that are known', async () => {
    const { verify } = open();
    const token = await issuer.token();
    await verify(token);
    issuer.wait(301);
    issuer.state.holdBack = new Promise(() => {});
    void verify(token);
    expect((await verify(token)).type).toBe('human');
    issuer.state.holdBack = Promise.resolve();
    issuer.wait(300);
    expect((await verify(token)).type).toBe('human');
    expect(jwks()).toBe(2);
  });
});

describe('settings', () => {
  it('that cannot work stop the start', () => {
    for (const options of [
      { issuer: 'http://id.example.com' },
      { issuer: 'id.example.com' },
      { audience: '' },
      { audience: [] },
      { keys: { keepFor: 'for ever' } },
      { validation: { cacheFor: '1' } },
    ])
      expect(() => open(options), JSON.stringify(options)).toThrow(TypeError);
    expect(() => open({ issuer: 'http://localhost:3000' })).not.toThrow();
  });
});
