// What an app with an OAuth token is told when its token does not reach: it can come back with more
// (RFC 6750, 3.1; RFC 9728, 5.1).
import Koa from 'koa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createEndpoints } from '../../../src/web/endpoints/endpoint.js';
import { createClientCertificateReader } from '../../../src/web/http/client-certificate.js';
import type { State } from '../../../src/web/http/context.js';
import { errorHandler } from '../../../src/web/http/error-handler.js';
import { createErrorResponses } from '../../../src/web/http/error-response.js';
import { createPipeline } from '../../../src/web/http/pipeline.js';
import { createSecurityHeaders } from '../../../src/web/http/security-headers.js';
import { createViews } from '../../../src/web/pages/views.js';
import { type HttpServer, openHttpServer } from '../../support/http-server.js';
import { startServer, type TestServer } from '../../support/server.js';
import { openTokenFamily } from '../../support/token-family.js';

describe('a route that apps may take with a scope', () => {
  let server: TestServer;
  let httpServer: HttpServer;
  const tokens: Record<string, string> = {};
  beforeAll(async () => {
    server = await startServer();
    const { issuer, rateLimits } = server.config;
    const { clock, rateLimiter, log } = server.base;
    const { credentials } = server.core;
    const browsers = { cookieName: 'none', scheme: 'cookie', hasCsrfToken: false, check: () => {} } as never;
    const api = createEndpoints({ clock, credentials, browsers, rateLimiter, rateLimits });
    const response = [200, z.object({ ok: z.boolean() })] as const;
    api.get('/api/v1/agents', { summary: 'x', accepts: ['oauth'], scope: 'agent:read', response }, (ctx) => {
      ctx.body = { ok: true };
    });
    expect(() => api.get('/api/v1/x', { summary: 'x', accepts: ['oauth'], response }, () => {})).toThrow('which scope');
    const errorResponses = createErrorResponses({ issuer, log });
    const pipeline = createPipeline({
      config: { issuer, trustedProxies: [] },
      certificates: createClientCertificateReader({ header: 'x-client-cert' }),
      securityHeaders: createSecurityHeaders({ issuer }),
      errorResponses,
      log,
    });
    const koa = new Koa<State>();
    koa.use(pipeline.setState);
    koa.use(errorHandler({ errorResponses, views: createViews({ brandName: 'Signet', assetUrl: (path) => path }) }));
    koa.use(api.router.routes());
    const handle = pipeline.listener([], koa.callback());
    httpServer = await openHttpServer(async (req, res) => {
      const closed = new Promise((resolve) => res.once('close', resolve));
      handle(req, res);
      await closed;
    });
    const client = await server.client();
    const { email } = await server.account();
    const resource = `${issuer}/api/v1`;
    for (const scope of ['memory:read', 'memory:read agent:read']) {
      tokens[scope] = (
        await openTokenFamily(server, client, email, { resource, scope: `openid ${scope}` })
      ).accessToken;
    }
  });
  afterAll(async () => {
    await httpServer.close();
    await server.close();
  });

  const get = (token?: string) =>
    fetch(`${httpServer.origin}/api/v1/agents`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  const metadata = () => `resource_metadata="${server.issuer}/.well-known/oauth-protected-resource/api/v1"`;

  it('lets in with it', async () => {
    expect((await get(tokens['memory:read agent:read'])).status).toBe(200);
  });

  it('names it to who lacks it, so that the app can ask the person for it', async () => {
    const answer = await get(tokens['memory:read']);
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([403, 'insufficient_scope']);
    const challenge = `Bearer error="insufficient_scope", scope="agent:read", ${metadata()}`;
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
  });

  it('tells who has no token, or a bad one, where to get one', async () => {
    expect((await get()).headers.get('www-authenticate')).toBe(`Bearer ${metadata()}`);
    const bad = await get('bad');
    expect([bad.status, bad.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer error="invalid_token", ${metadata()}`,
    ]);
    const { scopes_supported: scopes, authorization_servers: servers } = (await (
      await fetch(`${server.origin}/.well-known/oauth-protected-resource/api/v1`)
    ).json()) as { scopes_supported: string[]; authorization_servers: string[] };
    expect([scopes.includes('agent:read'), servers]).toEqual([true, [server.issuer]]);
  });
});
