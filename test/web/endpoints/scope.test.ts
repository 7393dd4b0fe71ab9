// What an app with an OAuth token is told when its token does not reach: it can come back with more (RFC 6750, 3.1; RFC 9728, 5.1).
import Koa from 'koa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createEndpoints } from '../../../src/web/endpoints/endpoint.js';
import { createShownCertificates } from '../../../src/web/http/client-certificate.js';
import type { State } from '../../../src/web/http/context.js';
import { answerFailures } from '../../../src/web/http/error-handler.js';
import { createFailures } from '../../../src/web/http/error-response.js';
import { createPinRequest, pinIssuer } from '../../../src/web/http/trusted-proxy.js';
import { createViews } from '../../../src/web/pages/views.js';
import { openServer, type TestServer } from '../../support/http-server.js';
import { type House, openHouse } from '../../support/server.js';
import { openFamily } from '../../support/token-family.js';

describe('a route that apps may take with a scope', () => {
  let house: House;
  let door: TestServer;
  const tokens: Record<string, string> = {};
  beforeAll(async () => {
    house = await openHouse();
    const { issuer, rateLimits } = house.config;
    const { clock, limits, log } = house.base;
    const { credentials } = house.core;
    const browsers = { cookieName: 'none', scheme: 'cookie', hasCsrfToken: false, check: () => {} } as never;
    const api = createEndpoints({ clock, credentials, browsers, limits, rateLimits });
    const answer = [200, z.object({ ok: z.boolean() })] as const;
    api.get('/api/v1/agents', { summary: 'x', accepts: ['oauth'], scope: 'agent:read', answer }, (ctx) => {
      ctx.body = { ok: true };
    });
    expect(() => api.get('/api/v1/x', { summary: 'x', accepts: ['oauth'], answer }, () => {})).toThrow('which scope');
    const koa = new Koa<State>();
    const certificates = createShownCertificates({ header: 'x-client-cert' });
    koa.use(pinIssuer(createPinRequest({ issuer, trustedProxies: [], certificates }), certificates));
    const failures = createFailures({ issuer, log });
    koa.use(answerFailures({ failures, views: createViews({ brandName: 'Signet', assetUrl: (path) => path }) }));
    koa.use(api.router.routes());
    const handle = koa.callback();
    door = await openServer(async (req, res) => {
      const answered = new Promise((resolve) => res.once('close', resolve));
      void handle(req, res);
      await answered;
    });
    const client = await house.client();
    const { email } = await house.account();
    const resource = `${issuer}/api/v1`;
    for (const scope of ['memory:read', 'memory:read agent:read']) {
      tokens[scope] = (await openFamily(house, client, email, { resource, scope: `openid ${scope}` })).accessToken;
    }
  });
  afterAll(async () => {
    await door.close();
    await house.close();
  });

  const get = (token?: string) =>
    fetch(`${door.origin}/api/v1/agents`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  const metadata = () => `resource_metadata="${house.issuer}/.well-known/oauth-protected-resource/api/v1"`;

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
      await fetch(`${house.origin}/.well-known/oauth-protected-resource/api/v1`)
    ).json()) as { scopes_supported: string[]; authorization_servers: string[] };
    expect([scopes.includes('agent:read'), servers]).toEqual([true, [house.issuer]]);
  });
});
