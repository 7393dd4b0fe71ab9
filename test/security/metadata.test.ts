// The authorization server metadata matches the behavior of the server (RFC 8414; RFC 9700, section
// 2.6).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, formsOf } from '../support/browser.js';
import { makeKey } from '../support/client-keys.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, requestToken, type TestClient } from '../support/relying-party.js';
import { FORM, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';

describe('the authorization server metadata', () => {
  let server: TestServer;
  let client: TestClient;
  let browser: Browser;
  let metadata: Record<string, unknown>;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: ['https://acme.example/bye'] });
    ({ browser } = await signedInBrowser(server));
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
  });
  afterAll(() => server.close());

  const members = (name: string) => metadata[name] as string[];

  it('is the same at both paths, and all its endpoints exist on the issuer', async () => {
    expect((await sendRequest(server, 'GET', '/.well-known/oauth-authorization-server')).json).toEqual(metadata);
    expect(metadata.issuer).toBe(server.issuer);
    for (const [name, value] of Object.entries(metadata)) {
      if (!/_endpoint$|jwks_uri$/.test(name)) continue;
      const { origin, pathname } = new URL(String(value));
      expect(origin, name).toBe(server.issuer);
      const responses = [
        await sendRequest(server, 'GET', pathname),
        await sendRequest(server, 'POST', pathname, { 'content-type': FORM }, ''),
      ];
      expect(
        responses.map(({ status }) => status).filter((status) => status !== 404 && status < 500).length,
        name,
      ).toBe(2);
      expect(
        responses.some(({ status }) => status !== 405),
        name,
      ).toBe(true);
    }
  });

  it('lists exactly the client authentication methods that clients can register', async () => {
    const key = await makeKey();
    const jwks = { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] };
    const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'];
    expect([...members('token_endpoint_auth_methods_supported')].sort()).toEqual([...methods].sort());
    for (const method of methods) {
      await registerDynamically(server, {
        token_endpoint_auth_method: method,
        ...(method === 'private_key_jwt' && { jwks }),
      });
    }
    for (const method of ['client_secret_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'spiffe_jwt', 'x']) {
      await expect(registerDynamically(server, { token_endpoint_auth_method: method }), method).rejects.toThrow(
        'invalid',
      );
    }
  });

  it('lists exactly the supported grant types', async () => {
    for (const grant of members('grant_types_supported')) {
      expect((await requestToken(server, client, { grant_type: grant })).body.error, grant).not.toBe(
        'unsupported_grant_type',
      );
    }
    const unsupported = [
      'password',
      'implicit',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:openid:params:grant-type:ciba',
    ].filter((grant) => !members('grant_types_supported').includes(grant));
    expect(unsupported).toContain('password');
    for (const grant of unsupported) {
      expect((await requestToken(server, client, { grant_type: grant })).body.error, grant).toBe(
        'unsupported_grant_type',
      );
    }
  });

  it('lists exactly the supported response modes', async () => {
    const open = (more: Record<string, string>) => browser.open(authorizeUrl(server, client, pkce().challenge, more));
    for (const mode of members('response_modes_supported')) {
      const page = await open({ response_mode: mode, prompt: 'none', login_hint: mode });
      const response =
        mode === 'form_post'
          ? formsOf(page.html)[0]!.fields
          : Object.fromEntries(new URLSearchParams(page.url.search + page.url.hash.replace('#', '&')));
      expect(response, mode).toMatchObject({ state: 'state-1', iss: server.issuer });
    }
    for (const mode of ['web_message', 'jwt', 'query.jwt', 'form_post.jwt', 'x'].filter(
      (name) => !members('response_modes_supported').includes(name),
    )) {
      const page = await open({ response_mode: mode });
      expect(`${page.url.href} ${page.html}`, mode).toMatch(/unsupported_response_mode|invalid_request/);
      expect(page.url.searchParams.get('code'), mode).toBeNull();
    }
  });

  it('advertises no request objects, which are rejected by value and by reference', async () => {
    expect(metadata.request_parameter_supported ?? false).toBe(false);
    expect(metadata.request_uri_parameter_supported ?? false).toBe(false);
    for (const [name, value, error] of [
      ['request', 'eyJhbGciOiJub25lIn0.e30.', 'request_not_supported'],
      ['request_uri', 'https://evil.example/request', 'request_uri_not_supported'],
    ]) {
      const { url, html } = await browser.open(authorizeUrl(server, client, pkce().challenge, { [name!]: value! }));
      expect(`${url.href} ${html}`, name).toMatch(error === 'request_not_supported' ? error : /request_uri/);
      expect(url.searchParams.get('code')).toBeNull();
    }
  });

  it('lists exactly the supported scopes and signing algorithms', async () => {
    expect(members('scopes_supported')).toEqual(
      expect.arrayContaining(['openid', 'profile', 'email', 'offline_access']),
    );
    const known = members('scopes_supported').join(' ');
    const { json } = await sendRequest(
      server,
      'POST',
      '/oauth/clients/register',
      { 'content-type': 'application/json' },
      JSON.stringify({ redirect_uris: ['https://acme.example/cb'], scope: `${known} unknown:scope` }),
    );
    expect(json.scope).toBe(known);
    expect(members('id_token_signing_alg_values_supported').filter((name) => /^HS|none/.test(name))).toEqual([]);
    for (const alg of ['none', 'HS256']) {
      await expect(registerDynamically(server, { id_token_signed_response_alg: alg }), alg).rejects.toThrow('invalid');
    }
  });
});
