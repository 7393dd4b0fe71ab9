// RFC 9700, PKCE and codes: numbers 14 to 19 of the checklist. Not held: 20 (encouraged only),
// telling constant challenges or nonces; it would mean to remember those of every client for ever,
// to the good of nobody but an app that leaves itself open.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
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
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { concurrently } from '../support/token-family.js';

describe('PKCE and codes', () => {
  let server: TestServer;
  let client: TestClient;
  let app: TestClient;
  let email: string;
  let person: Browser;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client();
    app = await server.client({ token_endpoint_auth_method: 'none' });
    ({ email } = await server.account());
    person = new Browser(server.origin);
    await person.signIn(email, PASSWORD);
  });
  afterAll(() => server.close());

  const obtain = (from: TestClient, more: Record<string, string> = {}) => obtainCode(server, from, email, more, person);

  /** An authorization request without what is named; ends at the app. */
  async function without(names: string[], from: TestClient, more: Record<string, string> = {}): Promise<URL> {
    const url = new URL(authorizeUrl(server, from, 'x', more));
    for (const name of names) url.searchParams.delete(name);
    return signInAndConsent(person, url.href, email);
  }

  it('14. PKCE is supported and published', async () => {
    for (const path of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
      expect((await sendRequest(server, 'GET', path)).json.code_challenge_methods_supported).toEqual(['S256']);
    }
  });

  describe('15. a code with a challenge is given for its verifier only', () => {
    it.each<[string, (right: string, challenge: string) => string | undefined]>([
      ['none', () => undefined],
      ['an empty one', () => ''],
      ['that of somebody else', () => pkce().verifier],
      ['the challenge itself', (_right, challenge) => challenge],
      ['the right one, cut short', (right) => right.slice(0, -1)],
      ['the right one, and more', (right) => `${right}A`],
      [
        'the right one in another case',
        (right) => (right === right.toUpperCase() ? right.toLowerCase() : right.toUpperCase()),
      ],
      ['one that is too short to be one', () => 'x'],
      ['one that is too long to be one', () => 'x'.repeat(129)],
    ])('not for %s', async (_what, wrong) => {
      for (const from of [client, app]) {
        const { verifier, challenge } = pkce();
        const url = await signInAndConsent(person, authorizeUrl(server, from, challenge), email);
        const code = url.searchParams.get('code')!;
        const given = wrong(verifier, challenge);
        const params = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI };
        const answer = await requestToken(server, from, {
          ...params,
          ...(given !== undefined && { code_verifier: given }),
        });
        expect([answer.status, answer.body.access_token]).toEqual([400, undefined]);
      }
    });
  });

  it('16. a code without a challenge is given for no verifier at all (downgrade)', async () => {
    const relaxed = await server.client({}, { pkceRequired: false });
    const url = await without(['code_challenge', 'code_challenge_method'], relaxed);
    const code = url.searchParams.get('code')!;
    expect((await redeemCode(server, relaxed, { code, verifier: pkce().verifier })).body.error).toBe('invalid_grant');
    const again = (await without(['code_challenge', 'code_challenge_method'], relaxed)).searchParams.get('code')!;
    const plain = { grant_type: 'authorization_code', code: again, redirect_uri: REDIRECT_URI };
    expect((await requestToken(server, relaxed, plain)).status).toBe(200);
  });

  it('17. a public client without PKCE is refused, and so is "plain"', async () => {
    for (const from of [app, client]) {
      const none = await without(['code_challenge', 'code_challenge_method'], from);
      expect([none.searchParams.get('error'), none.searchParams.get('code')]).toEqual(['invalid_request', null]);
      const implicitlyPlain = await without(['code_challenge_method'], from);
      expect(implicitlyPlain.searchParams.get('error')).toBe('invalid_request');
      for (const method of ['plain', 's256', 'S512']) {
        const url = await without([], from, { code_challenge_method: method });
        expect(url.searchParams.get('error'), method).toBe('invalid_request');
      }
    }
    // The switch is for clients that can prove who they are: it does nothing for a public one.
    const relaxed = await server.client({ token_endpoint_auth_method: 'none' }, { pkceRequired: false });
    const url = await without(['code_challenge', 'code_challenge_method'], relaxed);
    expect(url.searchParams.get('error')).toBe('invalid_request');
  });

  it('18. a code is good once, and its second use ends what came of the first', async () => {
    const obtained = await obtain(client);
    const first = await redeemCode(server, client, obtained);
    expect(await isActive(server, first.body.access_token!)).toBe(true);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, first.body.access_token!)).toBe(false);
    expect((await refresh(server, client, first.body.refresh_token!)).body.error).toBe('invalid_grant');
  });

  it('18. of twenty uses at once one succeeds at most, and nothing lives on', async () => {
    const obtained = await obtain(client);
    const answers = await concurrently(20, () => redeemCode(server, client, obtained));
    const given = answers.filter(({ status }) => status === 200);
    expect(given.length).toBeLessThanOrEqual(1);
    expect(answers.filter(({ status }) => status !== 200 && status !== 400)).toEqual([]);
    for (const { body } of given) expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('19. a code is bound to its client, its redirect URI and its challenge', async () => {
    const thief = await server.client();
    const accomplice = await server.client({ redirect_uris: [REDIRECT_URI, 'https://acme.example/other'] });
    const obtained = await obtain(client);
    for (const other of [thief, app]) {
      expect((await redeemCode(server, other, obtained)).body.error).toBe('invalid_grant');
    }
    const otherBrowser = await obtain(accomplice);
    const wrong = await redeemCode(server, accomplice, otherBrowser, { redirect_uri: 'https://acme.example/other' });
    expect(wrong.body.error).toBe('invalid_grant');
    const [mine, yours] = [await obtain(client), await obtain(client)];
    const crossed = await redeemCode(server, client, { code: mine.code, verifier: yours.verifier });
    expect(crossed.body.error).toBe('invalid_grant');
    expect((await redeemCode(server, client, obtained)).status).toBe(200); // a thief's try does not spend it
  });

  it('19. a redirect URI that was in the request is demanded with the code', async () => {
    const { code, verifier } = await obtain(client);
    const params = { grant_type: 'authorization_code', code, code_verifier: verifier };
    const answer = await postForm(server, '/oauth/token', { ...params, redirect_uri: `${REDIRECT_URI}/` }, { client });
    expect(answer.json.error).toBe('invalid_grant');
  });

  it('a code lives for a minute', async () => {
    const { code } = await obtain(client);
    const [row] = await server.base.db.oidcArtifact.findMany({
      where: { kind: 'AuthorizationCode' },
      orderBy: { createdAt: 'desc' },
      take: 1,
    });
    expect(row!.id).not.toBe(code);
    expect(row!.expiresAt.getTime() - row!.createdAt.getTime()).toBeLessThanOrEqual(61_000);
  });
});
