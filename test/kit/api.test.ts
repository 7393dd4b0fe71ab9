// Policies, approvals, rate limits and CSRF protection of an API handler.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AuthContext,
  createApprovalClient,
  createMemoryRateLimitStore,
  csrfProtect,
  defineAPI,
  defineConfig,
  definePolicy,
  defineRateLimit,
  enforcePolicies,
  env,
  IssuerUnavailable,
  serveAPI,
} from '../../src/kit/index.js';
import { ISSUER } from './issuer.js';

const anonymous: AuthContext = { type: 'anonymous', isAuthenticated: false };
const alice: AuthContext = { type: 'human', isAuthenticated: true, via: 'session', byCookie: true, userId: 'alice' };
const bot: AuthContext = {
  type: 'agent',
  isAuthenticated: true,
  via: 'api-key',
  agentId: 'bot',
  permissions: ['ticket:write'],
};

const allow = definePolicy({ key: 'allow', title: 'All callers', effect: 'allow', check: () => ({ effect: 'allow' }) });
const deny = definePolicy({
  key: 'deny',
  title: 'No access',
  effect: 'deny',
  check: () => ({ effect: 'deny', reason: 'no' }),
});
const silent = definePolicy({ key: 'silent', title: 'Says nothing', effect: 'deny', check: () => undefined });
const agentApproval = definePolicy({
  key: 'agentApproval',
  title: 'Agent Approval Required',
  effect: 'approve',
  check: ({ ctx }) => ({ effect: ctx.auth.type === 'agent' ? 'approve' : 'allow', reason: 'An agent wants to write' }),
});

describe('enforcePolicies', () => {
  const enforce = (policies: Parameters<typeof enforcePolicies>[0], auth: AuthContext = bot) =>
    enforcePolicies(policies, { ctx: { auth } });

  it('applies the strictest of several policies', async () => {
    expect(await enforce([])).toEqual({ effect: 'allow' });
    expect(await enforce([allow])).toEqual({ effect: 'allow' });
    expect(await enforce([allow, agentApproval])).toEqual({
      effect: 'approve',
      policy: 'agentApproval',
      reason: 'An agent wants to write',
    });
    expect(await enforce([agentApproval, deny, allow])).toEqual({ effect: 'deny', policy: 'deny', reason: 'no' });
    expect(await enforce([agentApproval], alice)).toEqual({ effect: 'allow' });
    const second = {
      ...agentApproval,
      key: 'second',
      check: () => ({ effect: 'approve', reason: 'It is late' }) as const,
    };
    expect(await enforce([agentApproval, second])).toEqual({
      effect: 'approve',
      policy: 'agentApproval',
      reason: 'An agent wants to write',
      also: [{ policy: 'second', reason: 'It is late' }],
    });
    expect(await enforce([agentApproval, second, deny])).toEqual({ effect: 'deny', policy: 'deny', reason: 'no' });
  });

  it('grants no access if a policy returns nothing or throws', async () => {
    expect(await enforce([silent])).toEqual({ effect: 'deny', policy: 'silent', reason: 'Says nothing' });
    const unknown = { ...allow, check: () => ({ effect: 'maybe' as never }) };
    expect(await enforce([unknown])).toMatchObject({ effect: 'deny' });
    const inherited = { ...allow, check: () => ({ effect: 'constructor' as never }) };
    expect(await enforce([inherited])).toMatchObject({ effect: 'deny' });
    const failing = { ...allow, check: () => Promise.reject(new Error('broken')) };
    await expect(enforce([failing])).rejects.toThrow('broken');
  });

  it('requires each policy to have a key and an effect', () => {
    expect(() => definePolicy({ ...allow, key: '' })).toThrow(TypeError);
    for (const effect of ['permit', 'constructor', 'toString'])
      expect(() => definePolicy({ ...allow, effect: effect as never })).toThrow(TypeError);
  });
});

/** A fake of Signet's approval endpoints (CIBA). */
function openCiba() {
  const decisions = new Map<string, string>();
  const requests: URLSearchParams[] = [];
  const state = { decisions, requests, isUnavailable: false, authorization: '' };
  const handlers: Record<string, (form: URLSearchParams) => Response> = {
    '/.well-known/openid-configuration': () =>
      Response.json({
        issuer: ISSUER,
        backchannel_authentication_endpoint: `${ISSUER}/oauth/ciba`,
        token_endpoint: `${ISSUER}/oauth/token`,
      }),
    '/oauth/ciba'(form) {
      if (form.get('login_hint') === 'unknown') return Response.json({ error: 'unknown_user_id' }, { status: 400 });
      requests.push(form);
      return Response.json({ auth_req_id: `req-${requests.length}`, expires_in: 120, interval: 2 });
    },
    '/oauth/token'(form) {
      const id = form.get('auth_req_id')!;
      const decision = decisions.get(id) ?? 'authorization_pending';
      if (decision !== 'approved') return Response.json({ error: decision }, { status: 400 });
      decisions.set(id, 'invalid_grant'); // consumed
      return Response.json({ access_token: 'unused', token_type: 'bearer' });
    },
  };
  const fakeFetch = async (url: string, init: RequestInit = {}) => {
    if (state.isUnavailable) throw new TypeError('fetch failed');
    state.authorization = new Headers(init.headers).get('authorization') ?? state.authorization;
    return handlers[new URL(url).pathname]!(new URLSearchParams(String(init.body ?? '')));
  };
  return { ...state, state, fetch: fakeFetch as typeof fetch };
}

const FOR = { resource: 'https://api.example.com', scope: 'write:ticket' };

describe('the approval client', () => {
  const open = (ciba = openCiba()) => ({
    ciba,
    approvals: createApprovalClient({
      issuer: ISSUER,
      clientId: 'api client',
      clientSecret: 'a+b',
      ...FOR,
      fetch: ciba.fetch,
    }),
  });
  const approval = { person: 'alice@example.com', message: 'Delete ticket 7?', action: 'bot deletes 7' };

  it('reports an approval once, for its action only', async () => {
    const { ciba, approvals } = open();
    const pending = await approvals.begin(approval);
    expect(pending).toMatchObject({ expiresInSeconds: 120, intervalSeconds: 2 });
    expect(Object.fromEntries(ciba.requests[0]!)).toEqual({
      scope: 'openid write:ticket',
      resource: 'https://api.example.com',
      login_hint: 'alice@example.com',
      binding_message: 'Delete ticket 7?',
      authorization_details: '[{"type":"agent_action","actions":["Delete ticket 7?"]}]',
    });
    expect(atob(ciba.state.authorization.slice('Basic '.length))).toBe('api+client:a%2Bb');
    expect(await approvals.check(pending!.id, approval.action)).toBe('pending');
    ciba.decisions.set('req-1', 'approved');
    expect(await approvals.check(pending!.id, 'bot deletes 8')).toBe('denied');
    expect(await approvals.check('req-1', approval.action)).toBe('denied');
    expect(await approvals.check(pending!.id, approval.action)).toBe('approved');
    expect(await approvals.check(pending!.id, approval.action)).toBe('expired');
  });

  it.each([
    ['access_denied', 'denied'],
    ['expired_token', 'expired'],
    ['slow_down', 'pending'],
  ])('translates %s to %s', async (error, state) => {
    const { ciba, approvals } = open();
    const { id } = (await approvals.begin(approval))!;
    ciba.decisions.set('req-1', error);
    expect(await approvals.check(id, approval.action)).toBe(state);
  });

  it('distinguishes an unknown user, an outage and an unauthorized client', async () => {
    const { ciba, approvals } = open();
    expect(await approvals.begin({ ...approval, person: 'unknown' })).toBeUndefined();
    const { id } = (await approvals.begin(approval))!;
    ciba.decisions.set('req-1', 'invalid_client');
    await expect(approvals.check(id, approval.action)).rejects.toThrow(/invalid_client/);
    ciba.state.isUnavailable = true;
    await expect(approvals.check(id, approval.action)).rejects.toBeInstanceOf(IssuerUnavailable);
    await expect(open(ciba).approvals.begin(approval)).rejects.toBeInstanceOf(IssuerUnavailable);
  });
});

describe('serveAPI', () => {
  const handler = vi.fn(async ({ input }: { input: unknown }) => ({ deleted: true, input }));
  beforeEach(() => {
    handler.mockClear();
  });
  const api = (policy?: string | string[]) => defineAPI({ capability: 'write', resource: 'ticket', policy, handler });
  const request = (body?: string, headers: Record<string, string> = {}) =>
    new Request('https://api.example.com/tickets/7', { method: 'POST', body, headers });
  const policies = [allow, deny, agentApproval];

  async function respond(auth: AuthContext, policy?: string | string[], options = {}, sent = request('{"n":1}')) {
    const serve = serveAPI(api(policy), { resolve: async () => auth, policies, ...options });
    const response = await serve(sent);
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  it('requires authentication unless the API allows anonymous requests', async () => {
    expect(await respond(anonymous)).toMatchObject({ status: 401, body: { error: 'no_auth' } });
    expect(await respond(alice)).toMatchObject({ status: 200, body: { deleted: true, input: { n: 1 } } });
    expect(await respond(anonymous, [])).toMatchObject({ status: 200 });
    expect(await respond(anonymous, 'deny')).toMatchObject({ status: 401 });
    expect(await respond(alice, 'deny')).toMatchObject({
      status: 403,
      body: { error: 'policy_denied', error_description: 'no' },
    });
    expect(handler).toHaveBeenCalledTimes(2);
  });

  it('requires agents to have the permission', async () => {
    expect(await respond(bot)).toMatchObject({ status: 200 });
    const reader = { ...bot, permissions: ['ticket:read'] };
    expect(await respond(reader)).toMatchObject({ status: 403, body: { error: 'insufficient_scope' } });
  });

  it('throws for a policy that does not exist', () => {
    expect(() => serveAPI(api('requireAuht'), { resolve: async () => alice, policies })).toThrow('requireAuht');
  });

  it('rejects cross-site changes that are authenticated by a cookie', async () => {
    const from = (site: string) => request('{}', { cookie: 'capstan_session=x', 'sec-fetch-site': site });
    expect(await respond(alice, undefined, {}, from('cross-site'))).toMatchObject({
      status: 403,
      body: { error: 'csrf_validation_failed' },
    });
    expect(await respond(alice, undefined, {}, from('same-origin'))).toMatchObject({ status: 200 });
  });

  it('responds with what is wrong with a body', async () => {
    expect(await respond(alice, [], {}, request('{'))).toMatchObject({
      status: 400,
      body: { error: 'invalid_request' },
    });
    expect(await respond(alice, [], {}, request('x'.repeat(1_048_577)))).toMatchObject({ status: 413 });
    const strict = defineAPI({
      ...api([]),
      input: { parse: () => { throw new Error('n is missing'); } }, // biome-ignore format: a schema that rejects
    });
    const response = await serveAPI(strict, { resolve: async () => alice })(request('{}'));
    expect(await response.json()).toEqual({ error: 'invalid_request', error_description: 'n is missing' });
    expect(handler).not.toHaveBeenCalled();
  });

  it('responds with 503 if the issuer is unavailable, and rethrows bugs', async () => {
    const unavailable = serveAPI(api(), { resolve: () => Promise.reject(new IssuerUnavailable('unavailable')) });
    expect((await unavailable(request())).status).toBe(503);
    const broken = serveAPI(api(), { resolve: () => Promise.reject(new Error('bug')) });
    await expect(broken(request())).rejects.toThrow('bug');
  });

  it('responds with 202 until a user approves the same request', async () => {
    const ciba = openCiba();
    const by = createApprovalClient({ issuer: ISSUER, clientId: 'api', clientSecret: 's', ...FOR, fetch: ciba.fetch });
    const approvals = { by, person: () => 'alice@example.com' };
    expect(await respond(bot, 'agentApproval')).toMatchObject({ status: 403, body: { error: 'approval_required' } });
    const first = await respond(bot, 'agentApproval', { approvals });
    expect(first).toMatchObject({ status: 202, body: { status: 'approval_required', interval: 2 } });
    const [details] = JSON.parse(ciba.requests[0]!.get('authorization_details')!);
    expect(details.parameters).toEqual({ for: 'agent bot', request: 'POST /tickets/7' });
    const again = (body = '{"n":1}', auth = bot) =>
      respond(auth, 'agentApproval', { approvals }, request(body, { 'approval-id': first.body.approval_id }));
    expect(await again()).toMatchObject({ status: 202, body: { status: 'approval_pending' } });
    ciba.decisions.set('req-1', 'approved');
    expect(await again('{"n":2}')).toMatchObject({ status: 403, body: { error: 'approval_denied' } });
    expect(await again('{"n":1}', { ...bot, agentId: 'other' })).toMatchObject({ status: 403 });
    expect(handler).not.toHaveBeenCalled();
    expect(await again()).toMatchObject({ status: 200, body: { deleted: true } });
    expect(await again()).toMatchObject({ status: 403, body: { error: 'approval_expired' } });
    const unknownUser = { by, person: () => 'unknown' };
    expect(await respond(bot, 'agentApproval', { approvals: unknownUser })).toMatchObject({ status: 403 });
  });

  it('shows the user all reasons, and accepts an approval for those policies only', async () => {
    const ciba = openCiba();
    const by = createApprovalClient({ issuer: ISSUER, clientId: 'api', clientSecret: 's', ...FOR, fetch: ciba.fetch });
    const approvals = { by, person: () => 'alice@example.com' };
    const late = { ...agentApproval, key: 'late', check: () => ({ effect: 'approve', reason: 'It is late' }) as const };
    const policies = [agentApproval, late];
    const both = await respond(bot, ['agentApproval', 'late'], { approvals, policies });
    expect(both.body.reason).toBe('An agent wants to write; It is late');
    const [details] = JSON.parse(ciba.requests[0]!.get('authorization_details')!);
    expect(ciba.requests[0]!.get('binding_message')).toBe('An agent wants to write');
    expect(details.parameters).toEqual({ for: 'agent bot', request: 'POST /tickets/7', 'reason 2': 'It is late' });
    ciba.decisions.set('req-1', 'approved');
    const again = request('{"n":1}', { 'approval-id': both.body.approval_id });
    expect(await respond(bot, 'agentApproval', { approvals, policies }, again)).toMatchObject({
      body: { error: 'approval_denied' },
    });
  });

  it('applies the rate limit', async () => {
    const rateLimit = defineRateLimit({ default: { requests: 1, window: '1m' } });
    expect((await respond(alice, [], { rateLimit })).headers.get('ratelimit-remaining')).toBe('0');
    const second = await respond(alice, [], { rateLimit });
    expect(second).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('a rate limit', () => {
  const rateLimiter = {
    default: { requests: 3, window: '1m' },
    perAuthType: { anonymous: { requests: 1, window: '10s' }, agent: { requests: 2, window: '1m' } },
  };

  it('counts per caller type, user, agent and IP address, in windows', async () => {
    let time = 0;
    const now = () => time;
    const { check } = defineRateLimit(rateLimiter, { store: createMemoryRateLimitStore({ now }), now });
    const allowed = async (auth: AuthContext, from?: string) => (await check(auth, from)).allowed;
    const times = async (n: number, auth: AuthContext) => {
      const all = [];
      for (let i = 0; i < n; i += 1) all.push(await allowed(auth));
      return all;
    };
    expect(await times(4, alice)).toEqual([true, true, true, false]);
    expect(await times(3, bot)).toEqual([true, true, false]);
    expect(await allowed({ ...bot, agentId: 'other' })).toBe(true);
    expect([
      await allowed(anonymous, '1.2.3.4'),
      await allowed(anonymous, '1.2.3.4'),
      await allowed(anonymous, '5.6.7.8'),
    ]).toEqual([true, false, true]);
    time = 10_001;
    expect([await allowed(anonymous, '1.2.3.4'), await allowed(alice)]).toEqual([true, false]);
    time = 60_001;
    expect(await allowed(alice)).toBe(true);
  });

  it('can count all agents together', async () => {
    const { check } = defineRateLimit({ ...rateLimiter, perAgent: false });
    for (const agentId of ['a', 'b']) await check({ ...bot, agentId });
    expect(await check({ ...bot, agentId: 'c' })).toMatchObject({ allowed: false, remaining: 0, limit: 2 });
  });

  it('remembers a bounded number of callers, the most recent ones', async () => {
    const store = createMemoryRateLimitStore({ maxKeys: 2 });
    const counts = ['a', 'b', 'a', 'c', 'a', 'b'].map((key) => (store.hit(key, 60) as { count: number }).count);
    expect(counts).toEqual([1, 1, 2, 1, 3, 1]);
  });

  it('throws for invalid limits', () => {
    for (const wrong of [
      { requests: 0, window: '1m' },
      { requests: 1.5, window: '1m' },
      { requests: 1, window: '1 minute' },
    ]) {
      expect(() => defineRateLimit({ default: wrong })).toThrow(TypeError);
      expect(() => defineConfig({ agent: { rateLimit: { default: wrong } } })).toThrow(TypeError);
    }
  });
});

describe('csrfProtect', () => {
  const check = csrfProtect({ allowedOrigins: ['https://app.example.com'] });
  const sent = (headers: Record<string, string>, method = 'POST') =>
    check(new Request('https://api.example.com/x', { method, headers: { cookie: 's=1', ...headers } })) === undefined;

  it.each([
    [{ 'sec-fetch-site': 'same-origin' }, true],
    [{ 'sec-fetch-site': 'none' }, true],
    [{ 'sec-fetch-site': 'same-site', origin: 'https://app.example.com' }, true],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, false],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://api.example.com' }, false],
    [{ 'sec-fetch-site': 'same-site' }, false],
    [{ origin: 'https://api.example.com' }, true],
    [{ origin: 'https://app.example.com' }, true],
    [{ origin: 'https://api.example.com.evil.example' }, false],
    [{ origin: 'http://api.example.com' }, false],
    [{ origin: 'null' }, false],
    [{ origin: 'null', referer: 'https://api.example.com/form' }, false],
    [{ origin: 'no URL', referer: 'https://api.example.com/form' }, false],
    [{ 'sec-fetch-site': 'cross-site', origin: 'null', referer: 'https://app.example.com/' }, false],
    [{ referer: 'https://api.example.com/form?x' }, true],
    [{ referer: 'https://evil.example/https://api.example.com/' }, false],
    [{}, false],
  ])('decides on the headers %j: %s', (headers, expected) => {
    expect(sent(headers)).toBe(expected);
    expect(sent(headers, 'DELETE')).toBe(expected);
    expect(sent(headers, 'GET')).toBe(true);
  });

  it('ignores requests without cookies', () => {
    expect(check(new Request('https://api.example.com/x', { method: 'POST' }))).toBeUndefined();
  });
});

describe('env', () => {
  it('returns a variable by name, or an empty string', () => {
    vi.stubEnv('SIGNET_KIT_TEST', 'x');
    expect([env('SIGNET_KIT_TEST'), env('SIGNET_KIT_TEST_NOT')]).toEqual(['x', '']);
    vi.unstubAllEnvs();
  });
});
