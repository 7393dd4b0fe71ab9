// The challenges for an OAuth token without the required scope, with which a client can request
// more (RFC 6750, section 3.1; RFC 9728, section 5.1).
import Koa from 'koa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Api, createEndpoints } from '../../../src/web/endpoints/endpoints.js';
import { createClientCertificateReader } from '../../../src/web/http/client-certificate.js';
import type { State } from '../../../src/web/http/context.js';
import { createErrorHandler } from '../../../src/web/http/error-handler.js';
import { createErrorResponses } from '../../../src/web/http/error-response.js';
import { createPipeline } from '../../../src/web/http/pipeline.js';
import { createSecurityHeaders } from '../../../src/web/http/security-headers.js';
import { createViews } from '../../../src/web/pages/views.js';
import { type HttpServer, openHttpServer } from '../../support/http-server.js';
import { sendJson, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { openTokenFamily } from '../../support/token-family.js';

describe('an endpoint that requires an OAuth scope', () => {
  let server: TestServer;
  let httpServer: HttpServer;
  const tokens: Record<string, string> = {};
  let api: Api;
  const response = [200, z.object({ ok: z.boolean() })] as const;
  beforeAll(async () => {
    server = await startServer();
    const { issuer, rateLimits } = server.config;
    const { clock, rateLimiter, log } = server.base;
    const { credentials } = server.core;
    const cookieAuth = { cookieName: 'none', scheme: 'cookie', requiresCsrfToken: false, checkCsrf: () => {} } as never;
    api = createEndpoints({ clock, credentials, cookieAuth, rateLimiter, rateLimits });
    api.get('/api/v1/agents', { summary: 'x', accepts: ['oauth'], scope: 'agent:read', response }, (ctx) => {
      ctx.body = { ok: true };
    });

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
    koa.use(
      createErrorHandler({ errorResponses, views: createViews({ brandName: 'Signet', assetUrl: (path) => path }) }),
    );
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

  const get = (token?: string) => sendJson(httpServer, 'GET', '/api/v1/agents', token ? { token } : {});
  const metadata = () => `resource_metadata="${server.issuer}/.well-known/oauth-protected-resource/api/v1"`;

  it('must name the scope when it is added', () => {
    const addWithoutScope = () => api.get('/api/v1/x', { summary: 'x', accepts: ['oauth'], response }, () => {});
    expect(addWithoutScope).toThrow('names no scope');
  });

  it('accepts a token with the scope', async () => {
    expect((await get(tokens['memory:read agent:read'])).status).toBe(200);
  });

  it('names the scope in the challenge if the token lacks it', async () => {
    const { status, json, headers } = await get(tokens['memory:read']);
    expect([status, json.error]).toEqual([403, 'insufficient_scope']);
    expect(headers['www-authenticate']).toBe(`Bearer error="insufficient_scope", scope="agent:read", ${metadata()}`);
  });

  it('refers to the resource metadata if the token is missing or invalid', async () => {
    expect((await get()).headers['www-authenticate']).toBe(`Bearer ${metadata()}`);
    const invalid = await get('invalid');
    expect([invalid.status, invalid.headers['www-authenticate']]).toEqual([
      401,
      `Bearer error="invalid_token", ${metadata()}`,
    ]);
    const { json } = await sendRequest(server, 'GET', '/.well-known/oauth-protected-resource/api/v1');
    expect(json.scopes_supported).toContain('agent:read');
    expect(json.authorization_servers).toEqual([server.issuer]);
  });
});
