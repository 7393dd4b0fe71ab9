// Sends all kinds of credentials, of two accounts, to all routes. A new route fails here until
// route-rules.ts has a row that states which credentials it accepts.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { FORM, sendRequest, type TestResponse } from '../support/request.js';
import { type Credentials, type Headers, type Kind, type Side, startMatrixServer } from './credential-kinds.js';
import { type Rule, ruleOf, TABLE } from './route-rules.js';

/** True in `npm run test:all`. */
const THOROUGH = process.env.SIGNET_TEST_STORES === 'all';
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

const { server, close, createCredentials } = await startMatrixServer();
let kinds: Credentials['kinds'];
let accountIds: Credentials['accountIds'];
let agentIds: Credentials['agentIds'];
let registered: Credentials['registered'];
let admin: Credentials['admin'];

beforeAll(async () => {
  ({ kinds, accountIds, agentIds, registered, admin } = await createCredentials());
});
afterAll(close);

const routes = server.app.routes.flatMap(({ methods, path }) =>
  methods.map((method) => ({ method, path: String(path), rule: ruleOf(method, String(path)) })),
);

/** HEAD is GET without a body, so it is tested in test:all only. */
const routesFor = (rule: Rule) =>
  routes
    .filter((route) => route.rule === rule && (THOROUGH || route.method !== 'HEAD'))
    .map(({ method, path }) => [method, path] as const);

/** The credentials for routes at which the account makes no difference. */
const ownKinds = () => Object.entries(kinds).filter(([name]) => !/, other\b/.test(name));

/**
 * Sent in test:all only: misplaced login cookies to routes other than pages, and credentials that
 * prove nothing, of the second account.
 */
const everyKind = ({ onPages = false } = {}): [string, Kind][] =>
  Object.entries({ 'no credential': { headers: {} } as Kind, ...kinds }).filter(
    ([name, kind]) =>
      THOROUGH || ((onPages || !name.endsWith(', as login cookie')) && (provesAccess(kind) || !/, other\b/.test(name))),
  );

const provesAccess = (kind: Kind) => Object.keys(kind).some((member) => member !== 'headers');

const fill = (path: string, values: Record<string, string> = {}) =>
  path.replace(/:(\w+)/g, (_, name: string) => values[name] ?? 'unknown');

const headersOf = async ({ renew, headers }: Kind) => (await renew?.()) ?? headers;

let requests = 0;
/** Sends a request from a new IP address, so that no rate limit applies. */
function send(method: string, path: string, headers: Headers, form?: string): Promise<TestResponse> {
  requests += 1;
  const isJson = /^\/(oauth\/clients\/register|api\/(?!v1\/oauth\/))/.test(path);
  const body = ['POST', 'PUT', 'PATCH'].includes(method)
    ? (form ?? (isJson ? '{}' : 'grant_type=client_credentials&token=x'))
    : undefined;
  const all = {
    accept: 'text/html, application/json',
    'x-forwarded-for': `10.${(requests >> 16) & 255}.${(requests >> 8) & 255}.${requests & 255}`,
    ...(body !== undefined && { 'content-type': isJson ? 'application/json' : FORM }),
    ...headers,
  };
  return sendRequest(server, method, path, all, body);
}

/** The JSON API and the tools API have separate cookies and ignore each other's. */
const isToolsApi = (path: string) => /^\/api\/(?!v1\/)/.test(path);

/** Returns the account that the credential proves at this path by one of these types. */
function sideAt(path: string, kind: Kind, ...types: ('user' | 'external' | 'apiKey')[]): Side | undefined {
  if (isToolsApi(path) && kind.headers.cookie) return types.includes('user') ? kind.toolsUser : undefined;
  return types.map((type) => kind[type]).find(Boolean);
}

const otherAccount = async (side: Side) =>
  (await server.core.accounts.find(accountIds[side === 'own' ? 'other' : 'own']))!;

const isRead = (method: string) => method === 'GET' || method === 'HEAD';

describe('the credential matrix', () => {
  it('has a rule for every route', () => {
    const missing = routes.filter(({ rule }) => !rule).map(({ method, path }) => `${method} ${path}`);
    const hint = `No rule for ${missing.join(', ')}: add a row to TABLE in test/security/route-rules.ts.`;
    expect(missing, hint).toEqual([]);
    expect(routes.length).toBeGreaterThan(50);
  });

  it('has no rule without a route', () => {
    const unused = TABLE.filter(([, pattern]) => !routes.some(({ path }) => pattern.test(path)));
    expect(unused.map(String)).toEqual([]);
  });

  it('sends more than 50 different credentials', () => {
    expect(Object.keys(kinds).length).toBeGreaterThan(50);
    expect(new Set(Object.values(kinds).map(({ headers }) => JSON.stringify(headers))).size).toBe(
      Object.keys(kinds).length,
    );
  });

  it('expects 405 for all methods that are not in the route table', async () => {
    for (const path of new Set(routes.map((route) => route.path))) {
      const known = new Set(
        server.app.routes.filter((layer) => layer.match(fill(path))).flatMap(({ methods }) => methods),
      );
      for (const method of ALL_METHODS.filter((name) => !known.has(name) && name !== 'OPTIONS' && name !== 'HEAD')) {
        const response = await send(method, fill(path), kinds['login cookie, own']!.headers);
        expect(response.status, `${method} ${path}`).toBe(405);
      }
    }
  });
});

describe('public routes', () => {
  it.each(routesFor('public'))('%s %s ignores credentials', async (method, path) => {
    const anonymous = await send(method, fill(path), {});
    expect(anonymous.status).toBeLessThan(500);
    // HEAD and OPTIONS are tested with valid credentials only.
    const sent = ownKinds().filter(([, kind]) => /^(GET|POST)$/.test(method) || Object.keys(kind).length > 1);
    expect(sent.length).toBeGreaterThanOrEqual(4);
    for (const [name, { headers }] of sent) {
      expect((await send(method, fill(path), headers)).status, name).toBe(anonymous.status);
    }
  });
});

describe('account pages', () => {
  it.each(routesFor('login-cookie'))('%s %s accepts the login cookie only', async (method, path) => {
    for (const [name, kind] of everyKind({ onPages: true })) {
      const response = await send(method, fill(path), kind.headers);
      if (kind.loginCookie) {
        expect(response.status, name).toBeLessThan(500);
        expect(response.headers.location ?? '', name).not.toMatch(/\/login/);
        expect(response.text, name).not.toContain((await otherAccount(kind.loginCookie)).email);
        if (method === 'POST') expect([400, 403], `${name}, without CSRF token`).toContain(response.status);
      } else {
        expect([response.status, response.headers.location?.split('?')[0]], name).toEqual([303, '/login']);
      }
    }
  });
});

describe('OAuth endpoints', () => {
  it.each(routesFor('client'))('%s %s accepts client authentication only', async (method, path) => {
    for (const [name, { headers, client }] of [['no credential', { headers: {} }] as [string, Kind], ...ownKinds()]) {
      const response = await send(method, fill(path), headers);
      if (client) {
        expect(response.status, name).toBeLessThan(500);
        expect(response.json.error, name).not.toBe('invalid_client');
      } else {
        expect([400, 401], `${name}: ${response.text}`).toContain(response.status);
        expect(['invalid_client', 'invalid_request'], name).toContain(response.json.error);
      }
    }
  });

  it.each(routesFor('openid'))('%s %s accepts access tokens with openid only', async (method, path) => {
    for (const [name, { headers, openid }] of everyKind()) {
      const responses = [await send(method, fill(path), headers)];
      const token = /^Bearer (.*)/.exec(headers.authorization ?? '')?.[1];
      if (method === 'POST' && token)
        responses.push(await send(method, fill(path), {}, String(new URLSearchParams({ access_token: token }))));
      for (const response of responses) {
        if (openid) {
          const expected = method === 'HEAD' ? [405, undefined] : [200, accountIds[openid]];
          expect([response.status, response.json.sub], name).toEqual(expected);
        } else {
          expect(method === 'HEAD' ? [405] : [400, 401, 403], `${name}: ${response.text}`).toContain(response.status);
          expect(response.text, name).not.toMatch(/"sub"/);
        }
      }
    }
  });

  it.each(routesFor('registration'))('%s %s accepts the token of the client only', async (method, path) => {
    const target = fill(path, { clientId: registered.id });
    const before = await server.base.db.client.findUniqueOrThrow({ where: { id: registered.id } });
    for (const [name, { headers, registration }] of everyKind()) {
      if (registration === 'own') continue;
      const response = await send(method, target, headers);
      expect(method === 'HEAD' ? [405] : [400, 401], `${name}: ${response.text}`).toContain(response.status);
      expect(response.text, name).not.toContain(registered.secret);
    }
    expect(await server.base.db.client.findUnique({ where: { id: registered.id } })).toEqual(before);
    if (method === 'GET') {
      const response = await send(method, target, kinds['registration access token, own']!.headers);
      expect([response.status, response.json.client_id]).toEqual([200, registered.id]);
    }
  });
});

describe('user APIs', () => {
  it.each(routesFor('user'))('%s %s accepts user sessions only', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const headers = await headersOf(kind);
      const response = await send(method, fill(path), headers);
      const side = sideAt(path, kind, 'user');
      if (!side) {
        expect([401, 403], `${name}: ${response.text}`).toContain(response.status);
        expect(response.headers['www-authenticate'] ?? '', name).toMatch(
          response.status === 401 ? /resource_metadata/ : /^$/,
        );
      } else if (headers.cookie && !isToolsApi(path) && !isRead(method)) {
        expect([response.status, response.json.error], name).toEqual([403, 'csrf_validation_failed']);
      } else {
        // An unknown id gets 404. Everything else can be read.
        expect(isRead(method) ? [path.includes(':') ? 404 : 200] : [200, 400, 404], name).toContain(response.status);
        const other = await otherAccount(side);
        for (const text of [other.id, other.email]) expect(response.text, name).not.toContain(text);
      }
    }
  });

  it.each(routesFor('any-user'))(
    '%s %s accepts user sessions, API keys and tokens of external issuers',
    async (method, path) => {
      for (const [name, kind] of everyKind()) {
        const response = await send(method, fill(path), await headersOf(kind));
        const side = sideAt(path, kind, 'user', 'external', 'apiKey');
        expect(side ? [200] : [401, 403], `${name}: ${response.text}`).toContain(response.status);
        if (!side) continue;
        const other = await otherAccount(side);
        for (const text of [other.id, other.email, '"role":"admin"']) expect(response.text, name).not.toContain(text);
      }
    },
  );

  it.each(routesFor('user-or-key'))('%s %s accepts user sessions and API keys', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const response = await send(method, fill(path), await headersOf(kind));
      const side = kind.user ?? kind.apiKey;
      if (!side) expect([401, 403], `${name}: ${response.text}`).toContain(response.status);
      else if (kind.isProjectKey) expect(response.status, `${name}: ${response.text}`).toBe(403);
      else expect(kind.apiKey ? [200, 403, 404] : [200, 404], `${name}: ${response.text}`).toContain(response.status);
      if (side && response.status === 403 && method === 'GET')
        expect(response.json.error).toBe('project_scope_violation');
      for (const id of side ? [(await otherAccount(side)).id] : Object.values(accountIds))
        expect(response.text, name).not.toContain(id);
    }
  });

  it.each(routesFor('user-refresh'))('%s %s accepts user sessions in the header only', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const headers = await headersOf(kind);
      const response = await send(method, fill(path), headers);
      expect(response.status, `${name}: ${response.text}`).toBe(kind.user && headers.authorization ? 200 : 401);
    }
  });

  it.each(routesFor('admin'))('%s %s accepts sessions of administrators only', async (method, path) => {
    for (const [name, kind] of [...everyKind(), ...Object.entries(admin.otherCredentials)]) {
      const response = await send(method, fill(path), await headersOf(kind));
      expect([401, 403], `${name}: ${response.text}`).toContain(response.status);
    }
    const { status, text } = await send(method, fill(path), admin.session.headers);
    expect(isRead(method) ? [200] : [200, 400, 404], text).toContain(status);
  });

  it.each(routesFor('any-principal'))('%s %s accepts every valid principal', async (method, path) => {
    for (const [name, kind] of everyKind()) {
      const response = await send(method, fill(path), await headersOf(kind));
      const side = sideAt(path, kind, 'user', 'external', 'apiKey') ?? kind.agent;
      const isValid = side !== undefined || kind.workload !== undefined;
      expect([response.status, response.json.valid], name).toEqual(isValid ? [200, true] : [401, false]);
      const id = (response.json.user as { id?: string } | undefined)?.id;
      if (kind.workload) expect(id, name).toBe(kind.workload);
      else if (side === 'unclaimed') expect(id, name).toMatch(/^agt_/);
      else expect(id, name).toBe(side && accountIds[side]);
    }
  });

  it('returns stored provider tokens only to a session of their owner', async () => {
    const secret = 'gho_stored_for_this_user';
    const account = (await server.core.accounts.find(accountIds.own))!;
    const tokensToKeep = { accessToken: secret, refreshToken: undefined, tokenType: 'bearer', scope: 'repo' };
    const externalLogin = {
      issuer: 'https://github.com/login/oauth',
      subject: '1',
      tokensToKeep: { ...tokensToKeep, expiresAt: undefined },
    };
    const { identities, links } = server.core;
    await server.base.db.$transaction((tx) => identities.link(account, externalLogin, undefined, systemMeta, tx));
    const link = (await links.list(account.id)).find(({ hasStoredTokens }) => hasStoredTokens)!;
    const path = `/api/v1/auth/links/${link.id}/token`;
    const statuses = new Set<number>();
    for (const [name, kind] of [...everyKind({ onPages: true }), ...Object.entries(admin.otherCredentials)]) {
      const { status, text } = await send('GET', path, await headersOf(kind));
      statuses.add(status);
      expect([status === 200, text.includes(secret)], `${name}: ${text}`).toEqual(Array(2).fill(kind.user === 'own'));
    }
    const byAdmin = await send('GET', path, admin.session.headers);
    expect([byAdmin.status, byAdmin.text.includes(secret)], 'session of an administrator').toEqual([404, false]);
    expect([...statuses].sort()).toEqual([200, 401, 403, 404]);
  });
});

describe('agent APIs', () => {
  it.each([...routesFor('agent-reader'), ...routesFor('agent-admin')])(
    '%s %s accepts members of the organization and the agent itself',
    async (method, path) => {
      const isReader = ruleOf(method, path) === 'agent-reader';
      for (const [name, kind] of everyKind()) {
        const side = kind.user ?? (isReader ? kind.apiKey : undefined) ?? kind.agent;
        const headers = await headersOf(kind);
        for (const [agentSide, id] of Object.entries(agentIds)) {
          const isOwn = side === agentSide;
          if (isOwn && method === 'DELETE') continue; // would delete the agent that later requests need
          const response = await send(method, fill(path, { agent_id: id }), headers);
          const message = `${name}, agent of ${agentSide}: ${response.text}`;
          if (!side) expect([401, 403], message).toContain(response.status);
          else if (headers.cookie && !isReader) expect(response.status, message).toBe(403);
          else if (!isOwn && (isReader || !kind.agent)) expect([403, 404], message).toContain(response.status);
          else if (!isOwn)
            expect([401, 403, 404], message).toContain(response.status); // 401 after its key was rotated
          else if (isReader) expect([kind.isProjectKey ? 403 : 200], message).toContain(response.status);
          else expect([201, 401, 403], message).toContain(response.status); // 401 after the first rotation
          if (!isOwn) expect(response.text, message).not.toMatch(/"(agent_name|api_key|token)"/);
        }
      }
      expect(await server.base.db.agent.count({ where: { id: { in: Object.values(agentIds) } } })).toBe(2);
    },
  );

  it.each(routesFor('user-or-anonymous'))(
    '%s %s accepts user sessions and requests without credentials',
    async (method, path) => {
      const before = await server.base.db.agent.count();
      for (const [name, kind] of everyKind()) {
        const headers = await headersOf(kind);
        const { status, text, json } = await send(method, fill(path), headers);
        const isAnonymous =
          !headers.authorization && !headers['x-api-key'] && !/cap_access=/.test(headers.cookie ?? '');
        if (kind.user && headers.cookie) expect(json.error, name).toBe('csrf_validation_failed');
        else if (kind.user || isAnonymous) expect(json.error, `${name}: ${text}`).toBe('invalid_request');
        else expect([401, 403], `${name}: ${text}`).toContain(status);
      }
      expect(await server.base.db.agent.count()).toBe(before);
    },
  );
});
