// The adapters apply the same rules in every framework, and respond with the same errors.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as express from '../../src/kit/adapters/express.js';
import * as hono from '../../src/kit/adapters/hono.js';
import * as koa from '../../src/kit/adapters/koa.js';
import * as next from '../../src/kit/adapters/next.js';
import { type AuthContext, createRemoteVerifier, type RemoteVerifier, type Rules } from '../../src/kit/index.js';
import { AUDIENCE, ISSUER, openIssuer } from './issuer.js';

type Issuer = Awaited<ReturnType<typeof openIssuer>>;
type Send = (headers?: Record<string, string>) => Promise<Response>;

interface Framework {
  name: string;
  /** Serves one protected route that responds with the caller. */
  open(verifier: RemoteVerifier, rules?: Rules): Promise<{ send: Send; close(): void; url?: string }>;
}

async function listen(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tickets`;
  return { url, send: (headers = {}) => fetch(url, { headers }), close: () => server.close() } as const;
}

const frameworks: Framework[] = [
  {
    name: 'Node and Express',
    open(verifier, rules) {
      const guard = express.protect(verifier.resolve, rules);
      return listen((req, res) =>
        guard(req as express.ExpressRequest, res, (error) => {
          if (error) res.statusCode = 500;
          res.end(JSON.stringify(error ? {} : express.authOf(req as express.ExpressRequest)));
        }),
      );
    },
  },
  {
    name: 'Koa',
    open(verifier, rules) {
      const app = new Koa<{ auth: AuthContext }>();
      app.silent = true;
      app.use(koa.protect(verifier.resolve, rules));
      app.use((ctx) => {
        ctx.body = ctx.state.auth;
      });
      return listen(app.callback());
    },
  },
  {
    name: 'Hono',
    async open(verifier, rules) {
      const guard = hono.protect(verifier.resolve, rules);
      async function send(headers = {}) {
        let seen: AuthContext | undefined;
        const c = {
          req: { raw: new Request(`${AUDIENCE}/tickets`, { headers }) },
          set: (_: 'auth', auth: AuthContext) => (seen = auth),
        };
        const rejection = await guard(c, async () => {});
        return rejection ?? Response.json(seen);
      }
      return { send, close() {} };
    },
  },
  {
    name: 'Fetch',
    async open(verifier, rules = {}) {
      const serve = hono.protectFetch(verifier.resolve, rules, (_, auth) => Response.json(auth));
      return { send: (headers = {}) => serve(new Request(`${AUDIENCE}/tickets`, { headers })), close() {} };
    },
  },
];

describe.each(frameworks)('a route protected on $name', ({ open }) => {
  let issuer: Issuer;
  let route: Awaited<ReturnType<Framework['open']>>;
  let verifier: RemoteVerifier;
  beforeAll(async () => {
    issuer = await openIssuer();
    verifier = createRemoteVerifier({ issuer: ISSUER, audience: AUDIENCE, fetch: issuer.fetch, now: issuer.now });
    route = await open(verifier, { scope: 'ticket:read' });
  });
  afterAll(() => route.close());

  const withToken = async (claims = {}) => ({ authorization: `Bearer ${await issuer.token(claims)}` });

  it('allows requests that satisfy the rules, and identifies the caller', async () => {
    const response = await route.send(await withToken());
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ type: 'human', userId: 'user-1' });
  });

  it('responds to other requests with what is missing', async () => {
    const cases = [
      [{}, 401, 'no_auth', 'Bearer realm="api"'],
      [
        await withToken({ aud: 'https://other.example' }),
        401,
        'invalid_token',
        'Bearer realm="api", error="invalid_token"',
      ],
      [await withToken({ exp: 1 }), 401, 'expired_token', 'Bearer realm="api", error="invalid_token"'],
      [
        await withToken({ scope: 'ticket:write' }),
        403,
        'insufficient_scope',
        'Bearer realm="api", error="insufficient_scope", scope="ticket:read"',
      ],
    ] as const;
    for (const [headers, status, error, challenge] of cases) {
      const response = await route.send(headers as Record<string, string>);
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error, error_description: expect.any(String) });
      expect(response.headers.get('www-authenticate')).toBe(challenge);
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    }
  });

  it('rejects requests with several credentials, in any order', async () => {
    const { authorization } = await withToken();
    for (const several of [
      [authorization, 'Bearer other'],
      ['Bearer other', authorization],
      [authorization, authorization],
    ])
      expect(await statusOf(several)).toBe(401);

    /** Sends several headers. Node.js keeps the first of them, other runtimes join them. */
    async function statusOf(several: string[]): Promise<number> {
      if (!route.url) return (await route.send({ authorization: several.join(', ') })).status;
      const lines = ['host', new URL(route.url).host, ...several.flatMap((value) => ['authorization', value])];
      const sent = request(route.url, { headers: lines }).end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode!;
    }
  });

  it('responds with 503 if the issuer is unavailable, and does not treat a bug as success', async () => {
    issuer.state.isUnavailable = true;
    const response = await route.send({ authorization: 'Bearer sk_live_x' });
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2']);
    issuer.state.isUnavailable = false;
    const broken = await open({ ...verifier, resolve: () => Promise.reject(new Error('bug')) });
    const status = await broken.send().then((result) => result.status, () => 500); // biome-ignore format: one condition
    expect(status).toBe(500);
    broken.close();
  });

  it('can be open to anonymous requests, but not to invalid credentials', async () => {
    const optional = await open(verifier, { optional: true });
    expect(await (await optional.send()).json()).toEqual({ type: 'anonymous', isAuthenticated: false });
    expect((await optional.send({ authorization: 'Bearer a.b.c' })).status).toBe(401);
    optional.close();
  });
});

describe('access rules', () => {
  const human: AuthContext = { type: 'human', isAuthenticated: true, via: 'introspected', userId: 'a' };
  const agent: AuthContext = {
    type: 'agent',
    isAuthenticated: true,
    via: 'introspected',
    agentId: 'b',
    permissions: ['ticket:read'],
  };
  const status = async (auth: AuthContext, rules: Rules) => {
    const serve = hono.protectFetch(
      async () => auth,
      rules,
      () => new Response('yes'),
    );
    return (
      await serve(new Request(AUDIENCE, { method: 'POST', headers: { cookie: 'a=b', origin: 'https://evil.example' } }))
    ).status;
  };

  it('check type, scope, permission and level', async () => {
    expect(await status(human, { type: 'agent' })).toBe(403);
    expect(await status(agent, { type: 'agent' })).toBe(200);
    expect(await status(human, { scope: 'ticket:read' })).toBe(403);
    expect(await status({ ...human, via: 'login' }, { scope: 'ticket:read' })).toBe(200);
    expect(await status({ ...human, scopes: ['a', 'b'] }, { scope: ['a', 'b'] })).toBe(200);
    expect(await status({ ...human, scopes: ['a'] }, { scope: ['a', 'b'] })).toBe(403);
    expect(await status(agent, { permission: { resource: 'ticket', action: 'read' } })).toBe(200);
    expect(await status(agent, { permission: { resource: 'ticket', action: 'write' } })).toBe(403);
    const capable = { ...agent, permissions: ['write:equity'] };
    expect(await status(capable, { permission: { resource: 'equity', action: 'write' } })).toBe(200);
    expect(await status({ ...capable, via: 'api-key' }, { permission: { resource: 'equity', action: 'write' } })).toBe(
      403,
    );
    expect(await status(human, { permission: { resource: 'ticket', action: 'read' } })).toBe(403);
    expect(await status({ ...human, level: null }, {})).toBe(403);
    expect(await status({ ...human, level: 'read' }, {})).toBe(200);
    expect(await status({ ...human, level: 'read' }, { level: 'write' })).toBe(403);
    expect(await status({ ...human, level: 'admin' }, { level: 'write' })).toBe(200);
    expect(await status(human, { level: 'read' })).toBe(403);
  });

  it('reject cross-site changes that are authenticated by a cookie', async () => {
    expect(await status({ ...human, byCookie: true }, {})).toBe(403);
    expect(await status({ ...human, byCookie: true }, { csrf: { allowedOrigins: ['https://evil.example'] } })).toBe(
      200,
    );
  });
});

describe('a request with an invalid Host header', () => {
  it('is rejected like any other', async () => {
    const issuer = await openIssuer();
    const verifier = createRemoteVerifier({
      issuer: ISSUER,
      audience: AUDIENCE,
      fetch: issuer.fetch,
      now: issuer.now,
      origin: AUDIENCE,
    });
    const login = { type: 'human', isAuthenticated: true, via: 'session', byCookie: true, userId: 'a' } as const;
    const bound = await issuer.token({ cnf: { jkt: 'x' } });
    async function statusOf(resolve: RemoteVerifier['resolve'], headers: Record<string, string>) {
      const res = { statusCode: 0, setHeader() {}, end() {} };
      const fail = (error?: unknown) => expect(error).toBeUndefined();
      await express.protect(resolve)(
        { method: 'POST', url: '/x', headers: { host: 'a b:c', ...headers }, socket: {} },
        res,
        fail,
      );
      return res.statusCode;
    }
    expect(await statusOf(verifier.resolve, { authorization: `DPoP ${bound}`, dpop: 'a.b.c' })).toBe(401);
    expect(await statusOf(async () => login, { cookie: 'a=b', origin: 'https://evil.example' })).toBe(403);
  });
});

describe('the Next.js middleware', () => {
  let issuer: Issuer;
  let login: string;
  let middleware: (request: Request) => Promise<Response | undefined>;
  beforeAll(async () => {
    issuer = await openIssuer();
    login = await issuer.token({ aud: `${ISSUER}/api/v1` }, { typ: 'session+jwt' });
    const verifier = createRemoteVerifier({
      issuer: ISSUER,
      audience: AUDIENCE,
      acceptLogins: true,
      fetch: issuer.fetch,
      now: issuer.now,
    });
    middleware = next.protect(verifier, { signIn: '/login' });
  });
  const page = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Request(`https://app.example.com${path}`, { method, headers: { accept: 'text/html', ...headers } });

  it('allows requests with a valid login in the session cookie', async () => {
    expect(await middleware(page('/board', { cookie: `theme=dark; session=${login}` }))).toBeUndefined();
  });

  it('redirects pages to the sign-in page with a return path, and responds to scripts with 401', async () => {
    for (const cookie of ['', 'session=a.b.c', `session=${login.slice(0, -2)}`, `other=${login}`]) {
      const response = await middleware(page('/board?x=1', { cookie }));
      expect(response?.status).toBe(307);
      expect(response?.headers.get('location')).toBe('https://app.example.com/login?next=%2Fboard%3Fx%3D1');
    }
    expect((await middleware(page('/api/board', { accept: 'application/json' })))?.status).toBe(401);
    expect(await middleware(page('/login'))).toBeUndefined();
    const crossHost = await middleware(page('//evil.example/x'));
    expect(crossHost!.headers.get('location')).toBe('https://app.example.com/login?next=%2Fevil.example%2Fx');
  });

  it('prefers a header to the cookie, and rejects cross-site changes', async () => {
    const cookie = `session=${login}`;
    expect((await middleware(page('/board', { cookie, authorization: 'Bearer a.b.c' })))?.status).toBe(307);
    const site = (from: string) => middleware(page('/board', { cookie, 'sec-fetch-site': from }, 'POST'));
    expect((await site('cross-site'))?.status).toBe(403);
    expect(await site('same-origin')).toBeUndefined();
  });
});
