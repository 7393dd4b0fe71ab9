import { createHash } from 'node:crypto';
import Koa, { type Context, type Middleware } from 'koa';
import Provider from 'oidc-provider';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { allowAnyFormTarget, createSecurityHeaders, keepOpener } from '../../../src/web/http/security-headers.js';

const ISSUER = 'https://id.example.com';

describe('security headers', () => {
  const http = server((ctx) => {
    if (ctx.path === '/fails') throw new Error('a bug');
    if (ctx.path === '/limited') ctx.throw(429, 'slow down', { headers: { 'Retry-After': '5' } });
    if (ctx.path === '/page') ctx.body = '<!doctype html>';
    if (ctx.path.endsWith('.json') || ctx.path.startsWith('/api/')) ctx.body = {};
  });

  it.each([
    ['/page', 200],
    ['/unknown', 404],
    ['/fails', 500],
    ['/limited', 429],
  ])('are on every page response: %s (%i)', async (path, status) => {
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
      'form-action': ["'self'"],
    });
    expect(headers['permissions-policy']).toMatch(/camera=\(\), .*usb=\(\)/);
  });

  it('keep the headers that an error sets', async () => {
    const { headers } = await http.get('/limited');
    expect(headers['retry-after']).toBe('5');
  });

  it.each(['/.well-known/openid-configuration', '/oauth/jwks', '/api/v1/auth/me'])(
    'allow other origins to read API responses: %s',
    async (path) => {
      const { headers } = await http.get(path);
      expect(headers['cross-origin-resource-policy']).toBeUndefined();
      expect(headers['x-content-type-options']).toBe('nosniff');
    },
  );

  it('enable HSTS only if the issuer uses HTTPS', async () => {
    const { headers } = await server(() => {}, 'http://localhost:3000').get('/');
    expect(headers['strict-transport-security']).toBeUndefined();
  });
});

describe('form-action', () => {
  it('is removed from one response only', async () => {
    const http = server((ctx) => {
      if (ctx.path === '/one') allowAnyFormTarget(ctx);
    });
    const { 'form-action': own, ...others } = directives((await http.get('/two')).headers);
    expect(own).toEqual(["'self'"]);
    expect(directives((await http.get('/one')).headers)).toEqual(others);
  });
});

describe('keepOpener', () => {
  it('keeps the link to the window that opened a popup', async () => {
    const { headers } = await server(keepOpener).get('/');
    expect(headers['cross-origin-opener-policy']).toBe('unsafe-none');
  });
});

describe("oidc-provider's self-submitting page", () => {
  it('can run its own script and no other', async () => {
    const provider = new Provider('http://localhost:3000');
    const app = secured('http://localhost:3000').use(function mounted(ctx) {
      ctx.respond = false;
      return provider.callback()(ctx.req, ctx.res);
    });
    const { headers, text } = await request(app.callback()).get('/session/end').expect(200);
    const script = text.match(/<script>([\s\S]*?)<\/script>/)?.[1] ?? '';
    expect(script).toContain('submit()');
    const hash = createHash('sha256').update(script).digest('base64');
    expect(directives(headers)['script-src']).toEqual([`'sha256-${hash}'`]);
    expect(directives(headers)['form-action']).toEqual(["'self'"]);
    expect(headers['x-content-type-options']).toBe('nosniff');
  });
});

/** A Koa application whose responses have the headers from the start, as behind the pipeline. */
function secured(issuer: string) {
  const { apply, keepOnError } = createSecurityHeaders({ issuer });
  const app = new Koa();
  app.use(function applySecurityHeaders(ctx, next) {
    apply(ctx.path, ctx.res);
    return next();
  });
  return app.use(keepOnError as Middleware);
}

function server(handle: (ctx: Context) => void, issuer = ISSUER) {
  const app = secured(issuer);
  app.silent = true;
  app.use(handle);
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
