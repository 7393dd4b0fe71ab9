// DPoP (RFC 9449) from the sign-in to a request to the JSON API, by openid-client.
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { discover } from '../support/openid-client.js';
import { obtainCode, REDIRECT_URI } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';

describe('an app with a DPoP key', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { TEST_AUTH: 'true' } });
  });
  afterAll(() => server.close());

  it('signs a user in, calls the JSON API and refreshes its tokens, only with its key', async () => {
    const client = await server.client({ token_endpoint_auth_method: 'none' });
    const account = await server.account();
    const config = await discover(server, client);
    expect(config.serverMetadata().dpop_signing_alg_values_supported).toContain('ES256');
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const resource = `${server.issuer}/api/v1`;

    const params = { scope: 'openid memory:read', resource };
    const { redirect, verifier } = await obtainCode(server, client, account.email, params, new Browser(server.origin));
    const checks = { pkceCodeVerifier: verifier, expectedState: 'state-1', expectedNonce: 'nonce-1' };
    const tokens = await oidc.authorizationCodeGrant(config, redirect, checks, { resource }, { DPoP });
    expect(tokens.token_type).toBe('dpop');
    expect(new URL(redirect).href.startsWith(REDIRECT_URI)).toBe(true);

    const address = new URL(`${resource}/test-auth/auth-status`);
    const request = (accessToken: string, options: object) =>
      oidc.fetchProtectedResource(config, accessToken, address, 'GET', undefined, undefined, options);
    for (let time = 0; time < 3; time += 1) {
      const response = await request(tokens.access_token, { DPoP });
      expect(await response.json()).toMatchObject({ principal: { type: 'human', id: account.id } });
    }
    const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token!, { resource }, { DPoP });
    expect((await request(renewed.access_token, { DPoP })).status).toBe(200);

    const otherKey = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    await expect(request(renewed.access_token, { DPoP: otherKey })).rejects.toMatchObject({ status: 401 });
    await expect(request(renewed.access_token, {})).rejects.toMatchObject({ status: 401 });
  });
});
