import { createHash } from 'node:crypto';
import Koa, { type Context } from 'koa';
import Provider from 'oidc-provider';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import {
  allowFormRedirect,
  createApplySecurityHeaders,
  keepOpener,
  securityHeaders,
} from '../../../src/web/http/security-headers.js';

const ISSUER = 'https://id.example.com';

describe('every answer', () => {
  const http = server((ctx) => {
    if (ctx.path === '/fails') throw new Error('a bug');
    if (ctx.path === '/refuses') ctx.throw(429, 'slow down', { headers: { 'Retry-After': '5' } });
    if (ctx.path === '/page') ctx.body = '<!doctype html>';
    if (ctx.path.endsWith('.json') || ctx.path.startsWith('/api/')) ctx.body = {};
  });

  it.each([
    ['/page', 200],
    ['/nowhere', 404],
    ['/fails', 500],
    ['/refuses', 429],
  ])('has them all: %s', async (path, status) => {
    const { headers } = await http.get(path).expect(status);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'x-robots-tag': 'noindex',
    });
    expect(directives(headers)).toEqual({
      'default-src': ["'none'"],
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:'],
      'font-src': ["'none'"],
      'script-src': [], // the same as 'none'
      'base-uri': ["'none'"],
      'frame-ancestors': ["'none'"],
      'form-action': ["'self'", 'https:', 'http://localhost:*', 'http://127.0.0.1:*'],
    });
    expect(headers['permissions-policy']).toMatch(/camera=\(\), .*usb=\(\)/);
  });

  it('keeps the headers that a refusal brings along', async () => {
    const { headers } = await http.get('/refuses');
    expect(headers['retry-after']).toBe('5');
  });

  it.each(['/.well-known/openid-configuration', '/oauth/jwks', '/api/v1/auth/me'])(
    'can be read from another origin where it is made for programs: %s',
    async (path) => {
      const { headers } = await http.get(path);
      expect(headers['cross-origin-resource-policy']).toBeUndefined();
      expect(headers['x-content-type-options']).toBe('nosniff');
    },
  );

  it('asks for HTTPS only where the issuer has it', async () => {
    const { headers } = await server(() => {}, 'http://localhost:3000').get('/');
    expect(headers['strict-transport-security']).toBeUndefined();
  });
});

describe('a form that ends at a client', () => {
  it.each([
    ['cursor://anysphere.cursor-retrieval/oauth/callback', 'cursor:'],
    ['com.example.app:/callback', 'com.example.app:'],
    ['http://[::1]:49152/callback', 'http:'],
    ['http://127.0.0.2:49152/callback', 'http:'],
  ])('may lead to %s when the page says so', async (redirectUri, source) => {
    const { headers } = await server((ctx) => {
      allowFormRedirect(ctx, redirectUri);
      allowFormRedirect(ctx, redirectUri);
    }).get('/');
    expect(directives(headers)['form-action']).toEqual([...defaultTargets, source]);
    expect(directives(headers)['script-src']).toEqual([]);
  });

  it.each([
    'https://app.example.com/callback',
    'http://localhost:49152/callback',
    'http://127.0.0.1/callback',
    'http://plain.example.com/callback',
    'javascript:alert(1)',
    'data:text/html,x',
    "x; script-src 'unsafe-inline'",
    'not a uri',
    '',
  ])('changes nothing for %s', async (redirectUri) => {
    const { headers } = await server((ctx) => allowFormRedirect(ctx, redirectUri)).get('/');
    expect(directives(headers)['form-action']).toEqual(defaultTargets);
    expect(directives(headers)['script-src']).toEqual([]);
  });

  it('is only about the one page', async () => {
    const http = server((ctx) => {
      if (ctx.path === '/one') allowFormRedirect(ctx, 'cursor://callback');
    });
    await http.get('/one');
    expect(directives((await http.get('/two')).headers)['form-action']).toEqual(defaultTargets);
  });
});

describe('a step of signing in within a popup', () => {
  it('keeps its opener when it says so', async () => {
    const { headers } = await server(keepOpener).get('/');
    expect(headers['cross-origin-opener-policy']).toBe('unsafe-none');
  });
});

describe("the provider's own page that posts itself", () => {
  it('runs exactly its own script', async () => {
    const provider = new Provider('http://localhost:3000');
    const app = new Koa()
      .use(securityHeaders(createApplySecurityHeaders({ issuer: 'http://localhost:3000' })))
      .use(function mounted(ctx) {
        ctx.respond = false;
        return provider.callback()(ctx.req, ctx.res);
      });
    const { headers, text } = await request(app.callback()).get('/session/end').expect(200);
    const script = text.match(/<script>([\s\S]*?)<\/script>/)?.[1] ?? '';
    expect(script).toContain('submit()');
    const hash = createHash('sha256').update(script).digest('base64');
    expect(directives(headers)['script-src']).toEqual([`'sha256-${hash}'`]);
    expect(directives(headers)['form-action']).toEqual(defaultTargets);
    expect(headers['x-content-type-options']).toBe('nosniff');
  });
});

const defaultTargets = ["'self'", 'https:', 'http://localhost:*', 'http://127.0.0.1:*'];

function server(answer: (ctx: Context) => void, issuer = ISSUER) {
  const app = new Koa();
  app.silent = true;
  app.use(securityHeaders(createApplySecurityHeaders({ issuer })));
  app.use(answer);
  return request(app.callback());
}

function directives(headers: Record<string, string>): Record<string, string[]> {
  const policy = headers['content-security-policy'] ?? '';
  return Object.fromEntries(
    policy.split(';').map((directive) => {
      const [name = '', ...sources] = directive.trim().split(/\s+/);
      return [name, sources];
    }),
  );
}
