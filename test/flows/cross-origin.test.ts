import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obtainCode, redeemCode, requestToken } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';

const HOME = 'https://spa.example';
const PUBLIC = { token_endpoint_auth_method: 'none' };

describe('what a page in another origin may read', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** A request from a page with an unknown code. Only the response headers matter. */
  async function ask(client: { id: string; secret: string }, origin: string) {
    const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: `${HOME}/cb`, code_verifier: 'x' };
    const { status, headers, body } = await requestToken(server, client, params, { headers: { origin } });
    return { status, error: body.error, allowed: headers['access-control-allow-origin'] ?? null };
  }

  it('is the token endpoint, for a public app in its own origin', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: [`${HOME}/cb`] });
    expect(await ask(client, HOME)).toMatchObject({ error: 'invalid_grant', allowed: HOME });
  });

  it.each(['https://evil.example', 'http://spa.example', 'https://spa.example:8443', 'null'])(
    'is nothing of the token endpoint for %s, where the app does not live',
    async (origin) => {
      const client = await server.client({ ...PUBLIC, redirect_uris: [`${HOME}/cb`] });
      expect(await ask(client, origin)).toEqual({ status: 400, error: 'invalid_request', allowed: null });
    },
  );

  it('is nothing of the token endpoint for an app with a secret: a page cannot keep one', async () => {
    const client = await server.client({ redirect_uris: [`${HOME}/cb`] });
    expect(await ask(client, HOME)).toMatchObject({ error: 'invalid_request', allowed: null });
  });

  it('is the token endpoint on whatever port of this machine the app runs on', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: ['http://localhost/cb'] });
    const origin = 'http://localhost:5173';
    expect(await ask(client, origin)).toMatchObject({ error: 'invalid_grant', allowed: origin });
    expect(await ask(client, 'http://127.0.0.1:5173')).toMatchObject({ allowed: null });
  });

  it('is nothing for an app that only lives on a device', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: ['com.example.app:/cb'] });
    expect(await ask(client, 'null')).toMatchObject({ allowed: null });
    expect(await ask(client, HOME)).toMatchObject({ allowed: null });
  });

  it('is userinfo, for whichever app the token was given to, in its own origin', async () => {
    const { email } = await server.account();
    const client = await server.client({ redirect_uris: ['https://acme.example/cb'] });
    const { body } = await redeemCode(server, client, await obtainCode(server, client, email));
    const read = async (origin: string) => {
      const headers = { origin, authorization: `Bearer ${body.access_token}` };
      const answer = await fetch(`${server.origin}/oauth/userinfo`, { headers });
      return { status: answer.status, allowed: answer.headers.get('access-control-allow-origin') };
    };
    expect(await read('https://acme.example')).toEqual({ status: 200, allowed: 'https://acme.example' });
    expect(await read('https://evil.example')).toEqual({ status: 400, allowed: null });
  });

  it.each(['/api/v1/oauth/token', '/oauth/token', '/oauth/userinfo', '/oauth/revoke', '/oauth/clients/register'])(
    'may be asked for before it is asked (%s)',
    async (path) => {
      const answer = await fetch(server.origin + path, {
        method: 'OPTIONS',
        headers: {
          origin: HOME,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      });
      expect(answer.status).toBe(204);
      expect([HOME, '*']).toContain(answer.headers.get('access-control-allow-origin'));
      expect(answer.headers.get('access-control-allow-headers')?.toLowerCase()).toContain('authorization');
    },
  );
});
