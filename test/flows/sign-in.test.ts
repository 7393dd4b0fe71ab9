// Sign-in of a third-party app without a library.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { authorizeUrl, isActive, obtainCode, pkce, redeemCode, refresh } from '../support/relying-party.js';
import { sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

describe.each(stores)('a third-party app, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it('signs a user in, reads userinfo, refreshes its tokens and signs the user in again without a page', async () => {
    const { email, id } = await server.account();
    const client = await server.client();
    const { code, verifier, redirect, browser } = await obtainCode(server, client, email);
    expect(redirect.searchParams.get('iss')).toBe(server.issuer);
    expect(redirect.searchParams.get('state')).toBe('state-1');

    const response = await redeemCode(server, client, { code, verifier });
    expect(response.status, JSON.stringify(response.body)).toBe(200);
    expect(response.body.token_type).toBe('Bearer');
    expect(response.body.expires_in).toBe(28_800);

    const authorization = `Bearer ${response.body.access_token}`;
    const userinfo = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization });
    expect(userinfo.json).toMatchObject({
      sub: id,
      email,
      email_verified: false,
      name: 'Jane Developer',
      given_name: 'Jane',
      family_name: 'Developer',
      plan: 'free',
    });

    const renewed = await refresh(server, client, response.body.refresh_token!);
    expect(renewed.status, JSON.stringify(renewed.body)).toBe(200);
    expect(await isActive(server, renewed.body.access_token!)).toBe(true);

    const withoutPage = await obtainCode(server, client, 'unknown@example.com', {}, browser);
    expect((await redeemCode(server, client, withoutPage)).status).toBe(200);
  });

  it('is not authorized in a browser without a session', async () => {
    const client = await server.client();
    const page = await new Browser(server.origin).open(authorizeUrl(server, client, pkce().challenge));
    expect(page.url.pathname).toBe('/login');
  });
});
