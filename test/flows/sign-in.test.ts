import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { isActive, obtainCode, redeemCode, refresh } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

describe.each(stores)('a third-party app on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it('signs a person in, learns who it is, and stays signed in', async () => {
    const { email, id } = await server.account();
    const client = await server.client();
    const { code, verifier, redirect, browser } = await obtainCode(server, client, email);
    expect(redirect.searchParams.get('iss')).toBe(server.issuer);
    expect(redirect.searchParams.get('state')).toBe('state-1');

    const answer = await redeemCode(server, client, { code, verifier });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect(answer.body.token_type).toBe('Bearer');
    expect(answer.body.expires_in).toBe(28_800);

    const userinfo = await fetch(`${server.origin}/oauth/userinfo`, {
      headers: { authorization: `Bearer ${answer.body.access_token}` },
    });
    expect(await userinfo.json()).toMatchObject({
      sub: id,
      email,
      email_verified: false,
      name: 'Jane Developer',
      given_name: 'Jane',
      family_name: 'Developer',
      plan: 'free',
    });

    const renewed = await refresh(server, client, answer.body.refresh_token!);
    expect(renewed.status, JSON.stringify(renewed.body)).toBe(200);
    expect(await isActive(server, renewed.body.access_token!)).toBe(true);

    // The second time nobody is asked anything.
    const again = await obtainCode(server, client, 'unknown@example.com', {}, browser);
    expect((await redeemCode(server, client, again)).status).toBe(200);
  });

  it('gives nothing to a browser in which nobody is signed in', async () => {
    const client = await server.client();
    const page = await new Browser(server.origin).open(
      `/oauth/authorize?client_id=${client.id}&response_type=code&redirect_uri=https://acme.example/cb&scope=openid&code_challenge=${'x'.repeat(43)}&code_challenge_method=S256`,
    );
    expect(page.url.pathname).toBe('/login');
  });
});
