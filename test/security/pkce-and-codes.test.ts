// PKCE and authorization codes (RFC 9700, sections 2.1.1, 4.5 and 4.8; RFC 7636). Not implemented:
// detecting clients that reuse one challenge or nonce, which RFC 9700 only encourages. It would
// mean to store all challenges of every client.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { movableClock } from '../support/movable-clock.js';
import {
  authorizeUrl,
  isActive,
  obtainCode,
  pkce,
  REDIRECT_URI,
  redeemCode,
  refresh,
  requestToken,
  signInAndConsent,
  type TestClient,
} from '../support/relying-party.js';
import { postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { concurrently } from '../support/token-family.js';

describe('authorization codes', () => {
  const { clock, later } = movableClock();
  let server: TestServer;
  let client: TestClient;
  let app: TestClient;
  let email: string;
  let browser: Awaited<ReturnType<typeof signedInBrowser>>['browser'];
  beforeAll(async () => {
    server = await startServer({ clock });
    client = await server.client();
    app = await server.client({ token_endpoint_auth_method: 'none' });
    ({ email, browser } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const obtain = (from: TestClient, more: Record<string, string> = {}) =>
    obtainCode(server, from, email, more, browser);

  /**
   * Sends an authorization request without these parameters. Returns the redirect to the client.
   */
  async function authorizeWithout(names: string[], from: TestClient, more: Record<string, string> = {}): Promise<URL> {
    const url = new URL(authorizeUrl(server, from, 'x', more));
    for (const name of names) url.searchParams.delete(name);
    return signInAndConsent(browser, url.href, email);
  }

  it('advertise PKCE with S256 only', async () => {
    for (const path of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
      expect((await sendRequest(server, 'GET', path)).json.code_challenge_methods_supported).toEqual(['S256']);
    }
  });

  describe('with a challenge (RFC 7636, section 4.6)', () => {
    it.each<[string, (right: string, challenge: string) => string | undefined]>([
      ['no verifier', () => undefined],
      ['an empty verifier', () => ''],
      ['another verifier', () => pkce().verifier],
      ['the challenge itself', (_right, challenge) => challenge],
      ['a truncated verifier', (right) => right.slice(0, -1)],
      ['an extended verifier', (right) => `${right}A`],
      [
        'the verifier in another case',
        (right) => (right === right.toUpperCase() ? right.toLowerCase() : right.toUpperCase()),
      ],
      ['a verifier that is too short', () => 'x'],
      ['a verifier that is too long', () => 'x'.repeat(129)],
    ])('are rejected with %s', async (_description, wrong) => {
      for (const from of [client, app]) {
        const { verifier, challenge } = pkce();
        const url = await signInAndConsent(browser, authorizeUrl(server, from, challenge), email);
        const code = url.searchParams.get('code')!;
        const presented = wrong(verifier, challenge);
        const params = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI };
        const response = await requestToken(server, from, {
          ...params,
          ...(presented !== undefined && { code_verifier: presented }),
        });
        expect([response.status, response.body.access_token]).toEqual([400, undefined]);
      }
    });
  });

  it('are rejected with a verifier if the request had no challenge (RFC 9700, section 4.8)', async () => {
    const relaxed = await server.client({}, { pkceRequired: false });
    const url = await authorizeWithout(['code_challenge', 'code_challenge_method'], relaxed);
    const code = url.searchParams.get('code')!;
    expect((await redeemCode(server, relaxed, { code, verifier: pkce().verifier })).body.error).toBe('invalid_grant');
    const again = (await authorizeWithout(['code_challenge', 'code_challenge_method'], relaxed)).searchParams.get(
      'code',
    )!;
    const plain = { grant_type: 'authorization_code', code: again, redirect_uri: REDIRECT_URI };
    expect((await requestToken(server, relaxed, plain)).status).toBe(200);
  });

  it('are not issued without PKCE or with a method other than S256', async () => {
    for (const from of [app, client]) {
      const none = await authorizeWithout(['code_challenge', 'code_challenge_method'], from);
      expect([none.searchParams.get('error'), none.searchParams.get('code')]).toEqual(['invalid_request', null]);
      const implicitlyPlain = await authorizeWithout(['code_challenge_method'], from);
      expect(implicitlyPlain.searchParams.get('error')).toBe('invalid_request');
      for (const method of ['plain', 's256', 'S512']) {
        const url = await authorizeWithout([], from, { code_challenge_method: method });
        expect(url.searchParams.get('error'), method).toBe('invalid_request');
      }
    }
    // The setting has no effect for public clients.
    const relaxed = await server.client({ token_endpoint_auth_method: 'none' }, { pkceRequired: false });
    const url = await authorizeWithout(['code_challenge', 'code_challenge_method'], relaxed);
    expect(url.searchParams.get('error')).toBe('invalid_request');
  });

  it('are accepted once: reuse revokes the tokens of the first use (RFC 6749, section 4.1.2)', async () => {
    const obtained = await obtain(client);
    const first = await redeemCode(server, client, obtained);
    expect(await isActive(server, first.body.access_token!)).toBe(true);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, first.body.access_token!)).toBe(false);
    expect((await refresh(server, client, first.body.refresh_token!)).body.error).toBe('invalid_grant');
  });

  it('are accepted at most once by 20 concurrent requests, and the tokens are revoked', async () => {
    const obtained = await obtain(client);
    const responses = await concurrently(20, () => redeemCode(server, client, obtained));
    const issued = responses.filter(({ status }) => status === 200);
    expect(issued.length).toBeLessThanOrEqual(1);
    expect(responses.filter(({ status }) => status !== 200 && status !== 400)).toEqual([]);
    for (const { body } of issued) expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('are bound to their client, redirect URI and challenge', async () => {
    const otherClient = await server.client();
    const twoUris = await server.client({ redirect_uris: [REDIRECT_URI, 'https://acme.example/other'] });
    const obtained = await obtain(client);
    for (const other of [otherClient, app]) {
      expect((await redeemCode(server, other, obtained)).body.error).toBe('invalid_grant');
    }
    const second = await obtain(twoUris);
    const wrong = await redeemCode(server, twoUris, second, { redirect_uri: 'https://acme.example/other' });
    expect(wrong.body.error).toBe('invalid_grant');
    const [one, two] = [await obtain(client), await obtain(client)];
    const crossed = await redeemCode(server, client, { code: one.code, verifier: two.verifier });
    expect(crossed.body.error).toBe('invalid_grant');
    expect((await redeemCode(server, client, obtained)).status).toBe(200); // rejected attempts did not consume it
  });

  it('are rejected with a redirect URI that differs by a trailing slash', async () => {
    const { code, verifier } = await obtain(client);
    const params = { grant_type: 'authorization_code', code, code_verifier: verifier };
    const response = await postForm(
      server,
      '/oauth/token',
      { ...params, redirect_uri: `${REDIRECT_URI}/` },
      { client },
    );
    expect(response.json.error).toBe('invalid_grant');
  });

  it('expire after a minute', async () => {
    const obtained = await obtain(client);
    const response = await later(61_000, () => redeemCode(server, client, obtained));
    expect(response.body.error).toBe('invalid_grant');
    expect((await redeemCode(server, client, await obtain(client))).status).toBe(200);
  });
});
