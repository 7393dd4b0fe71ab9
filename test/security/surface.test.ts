// RFC 9700, the surface: numbers 38 to 42 of the checklist. Of 42, the package for resource servers
// is not built; that this server itself logs no token is held by logs.test.ts.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf, type Page } from '../support/browser.js';
import { makeKey } from '../support/client-keys.js';
import { isConsent } from '../support/openid-client.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, requestToken, type TestClient } from '../support/relying-party.js';
import { FORM, postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { introspect, openTokenFamily } from '../support/token-family.js';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const FORGED = {
  host: 'evil.example',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  'x-forwarded-for': '6.6.6.6',
  forwarded: 'for=6.6.6.6;host=evil.example;proto=https',
  'x-real-ip': '6.6.6.6',
  'cf-connecting-ip': '6.6.6.6',
  'true-client-ip': '6.6.6.6',
  'x-request-id': 'evil-request',
  'x-original-url': '/oauth/jwks',
  'x-rewrite-url': '/oauth/jwks',
  'x-http-method-override': 'DELETE',
  'x-client-cert': 'CN=admin',
  'x-ssl-client-verify': 'SUCCESS',
  'x-remote-user': 'admin',
};

describe('the surface', () => {
  let server: TestServer;
  let client: TestClient;
  let device: TestClient;
  let account: { id: string; email: string };
  let person: Browser;
  let metadata: Record<string, unknown>;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: ['https://acme.example/bye'] });
    device = await server.client({
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
    });
    account = await server.account();
    person = new Browser(server.origin);
    await person.signIn(account.email, PASSWORD);
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
  });
  afterAll(() => server.close());

  async function userCode(): Promise<string> {
    const { json } = await postForm(server, '/oauth/device', { scope: 'openid' }, { client: device });
    return String(json.user_code);
  }

  it('38. no page can be put into a frame, and each says what it may load', async () => {
    const nobody = new Browser(server.origin);
    const code = await userCode();
    const input = await person.open('/device');
    const pages: Record<string, Page> = {
      home: await nobody.open('/'),
      'sign-in': await nobody.open('/login'),
      'sign-in of an app': await nobody.open(authorizeUrl(server, client, pkce().challenge)),
      'a wrong password': await nobody.signIn('nobody@example.com', 'a wrong password'),
      register: await nobody.open('/register'),
      consent: await person.open(authorizeUrl(server, await registerDynamically(server), pkce().challenge)),
      account: await person.open('/account'),
      device: input,
      'device with a wrong code': await person.submit(input, { user_code: 'XXXX-XXXX' }),
      'device confirmation': await person.submit(await person.open('/device'), { user_code: code }),
      'device from a link': await person.open(`/device?user_code=${code}`),
      'sign-out of an app': await person.open('/oauth/logout'),
      'sign-out': await person.open('/logout'),
      'signed out': await nobody.open('/logout'),
      'signed out of an app': await nobody.open('/oauth/logout/success'),
      'error of an app': await person.open(authorizeUrl(server, { id: 'unknown' }, pkce().challenge)),
      'error of a link': await nobody.open('/setup?token=unknown'),
      'no such page': await nobody.open('/nowhere'),
      'malformed address': await nobody.open('/%'),
      'an expired step': await nobody.open('/interaction/unknown'),
      'a form without its token': await person.open('/login', { method: 'POST', body: new URLSearchParams('csrf=x') }),
    };
    expect(isConsent(pages.consent!)).toBe(true);
    for (const [name, { headers, html }] of Object.entries(pages)) {
      expect(html, name).toContain('</html>');
      expect(headers.get('x-frame-options'), name).toBe('DENY');
      expect(headers.get('x-content-type-options'), name).toBe('nosniff');
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy, name).toContain("frame-ancestors 'none'");
      expect(policy, name).toContain("default-src 'none'");
      expect(policy, name).toContain("base-uri 'none'");
      expect(policy, name).not.toMatch(/unsafe-inline|unsafe-eval|script-src[^;]*\*/);
      expect(html, name).not.toMatch(/<[^>]*\son\w+=|style="|<style/i);
      // The one script there is submits a form, and the policy names it by its hash.
      const [, script] = /<script>([\s\S]*?)<\/script>/.exec(html) ?? [];
      const hash = script && createHash('sha256').update(script).digest('base64');
      expect(/script-src ?([^;]*)/.exec(policy)?.[1] ?? '', name).toBe(hash ? `'sha256-${hash}'` : '');
      expect(html.match(/<script/gi)?.length ?? 0, name).toBe(script ? 1 : 0);
      expect(headers.get('cache-control'), name).toContain('no-store');
    }
  });

  it('38. what strangers write is text on every page, never markup', async () => {
    const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`;
    const app = await registerDynamically(server, {
      client_name: evil,
      grant_types: ['authorization_code', DEVICE_GRANT],
      client_uri: 'https://acme.example/"onclick=alert(1)',
    });
    const { json } = await postForm(server, '/oauth/device', {}, { client: app, headers: { 'user-agent': evil } });
    const named = new Browser(server.origin);
    named.headers = { ...named.headers, 'user-agent': evil };
    const arrived = await named.submit(await named.open('/register'), {
      name: evil,
      email: 'markup@example.com',
      password: PASSWORD,
    });
    expect(arrived.url.pathname).toBe('/account');
    const more = { state: evil, nonce: evil, login_hint: evil };
    const pages = [
      arrived,
      await new Browser(server.origin).open(authorizeUrl(server, app, pkce().challenge, more)),
      await named.open(authorizeUrl(server, app, pkce().challenge, more)),
      await named.open(
        authorizeUrl(server, client, pkce().challenge, { ...more, response_mode: 'form_post', prompt: 'none' }),
      ),
      await named.open(authorizeUrl(server, { id: evil }, pkce().challenge, more)),
      await named.open(authorizeUrl(server, app, pkce().challenge, { ...more, redirect_uri: evil })),
      await named.submit(await named.open('/device'), { user_code: evil }),
      await named.submit(await named.open('/device'), { user_code: String(json.user_code) }),
      await named.open(
        `/login?${new URLSearchParams({ login_hint: evil, app: evil, proof: evil, return_to: `/${evil}` })}`,
      ),
      await named.open(`/oauth/logout?${new URLSearchParams({ state: evil, client_id: evil, id_token_hint: evil })}`),
      await named.open(`/oauth/logout/success?${new URLSearchParams({ client_id: app.id })}`),
      await named.open(`/setup?${new URLSearchParams({ token: evil })}`),
      await named.open(`/${encodeURIComponent(evil)}`),
      await named.signIn(`${evil}@example.com`, 'a wrong password'),
    ];
    for (const { html, url } of pages) {
      expect(html, url.pathname).toContain('</html>');
      expect(html, url.pathname).not.toMatch(/<script>alert|<img src=x|"onclick=/);
    }
    expect(pages.filter(({ html }) => html.includes('&lt;script&gt;alert(1)')).length).toBeGreaterThan(4);
  });

  describe('39. what a stranger says of itself in headers is not believed', () => {
    it('not in metadata, links, cookies or redirects', async () => {
      for (const path of [
        '/.well-known/openid-configuration',
        '/',
        '/login',
        '/account',
        '/device',
        '/nowhere',
        '/%',
      ]) {
        const honest = await sendRequest(server, 'GET', path, { accept: 'text/html' });
        const forged = await sendRequest(server, 'GET', path, { accept: 'text/html', ...FORGED });
        expect(forged.status, path).toBe(honest.status);
        expect(JSON.stringify(forged), path).not.toMatch(/evil/);
        expect(forged.headers['content-type'], path).toBe(honest.headers['content-type']);
      }
    });

    it('not as a way around the limits, nor in the log', async () => {
      const email = 'nobody@example.com';
      const browser = new Browser(server.origin);
      const page = await browser.open('/login');
      const statuses: number[] = [];
      for (let n = 0; n < 12; n += 1) {
        browser.headers = { ...browser.headers, 'x-forwarded-for': `10.0.0.${n}`, 'x-real-ip': `10.0.0.${n}` };
        statuses.push((await browser.signIn(email, 'a wrong password', page)).status);
      }
      expect(statuses.at(-1)).toBe(429);
      expect(server.lines.filter((line) => /10\.0\.0\.\d|6\.6\.6\.6|evil-request/.test(line))).toEqual([]);
    });

    it('not in the place of a credential', async () => {
      const answer = await sendRequest(server, 'GET', '/oauth/userinfo', FORGED);
      expect(answer.status).toBe(401);
      const nobody = await postForm(
        server,
        '/oauth/token',
        { grant_type: 'client_credentials', client_id: client.id },
        { headers: FORGED },
      );
      expect([nobody.status, nobody.json.error]).toEqual([401, 'invalid_client']);
      expect((await sendRequest(server, 'GET', '/account', { ...FORGED, accept: 'text/html' })).status).toBe(303);
    });
  });

  describe('40. the metadata says what the server does', () => {
    const members = (name: string) => metadata[name] as string[];

    it('the same at both addresses, with every address on the issuer and answering', async () => {
      expect((await sendRequest(server, 'GET', '/.well-known/oauth-authorization-server')).json).toEqual(metadata);
      expect(metadata.issuer).toBe(server.issuer);
      for (const [name, value] of Object.entries(metadata)) {
        if (!/_endpoint$|jwks_uri$/.test(name)) continue;
        const { origin, pathname } = new URL(String(value));
        expect(origin, name).toBe(server.issuer);
        const found = [
          await sendRequest(server, 'GET', pathname),
          await sendRequest(server, 'POST', pathname, { 'content-type': FORM }, ''),
        ];
        expect(found.map(({ status }) => status).filter((status) => status !== 404 && status < 500).length, name).toBe(
          2,
        );
        expect(
          found.some(({ status }) => status !== 405),
          name,
        ).toBe(true);
      }
    });

    it('each way to prove who a client is works where it is advertised, and no other can be registered', async () => {
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

    it('each advertised grant is known, and others are not', async () => {
      for (const grant of members('grant_types_supported')) {
        expect((await requestToken(server, client, { grant_type: grant })).body.error, grant).not.toBe(
          'unsupported_grant_type',
        );
      }
      const others = [
        'password',
        'implicit',
        'urn:ietf:params:oauth:grant-type:jwt-bearer',
        'urn:ietf:params:oauth:grant-type:token-exchange',
        'urn:openid:params:grant-type:ciba',
      ].filter((grant) => !members('grant_types_supported').includes(grant));
      expect(others).toContain('password');
      for (const grant of others) {
        expect((await requestToken(server, client, { grant_type: grant })).body.error, grant).toBe(
          'unsupported_grant_type',
        );
      }
    });

    it('each advertised response mode works, and others do not', async () => {
      const open = (more: Record<string, string>) => person.open(authorizeUrl(server, client, pkce().challenge, more));
      for (const mode of members('response_modes_supported')) {
        const page = await open({ response_mode: mode, prompt: 'none', login_hint: mode });
        const answered =
          mode === 'form_post'
            ? formsOf(page.html)[0]!.fields
            : Object.fromEntries(new URLSearchParams(page.url.search + page.url.hash.replace('#', '&')));
        expect(answered, mode).toMatchObject({ state: 'state-1', iss: server.issuer });
      }
      for (const mode of ['web_message', 'jwt', 'query.jwt', 'form_post.jwt', 'x'].filter(
        (name) => !members('response_modes_supported').includes(name),
      )) {
        const page = await open({ response_mode: mode });
        expect(`${page.url.href} ${page.html}`, mode).toMatch(/unsupported_response_mode|invalid_request/);
        expect(page.url.searchParams.get('code'), mode).toBeNull();
      }
    });

    it('no request objects: neither inline nor from an address', async () => {
      expect(metadata.request_parameter_supported ?? false).toBe(false);
      expect(metadata.request_uri_parameter_supported ?? false).toBe(false);
      for (const [name, value, error] of [
        ['request', 'eyJhbGciOiJub25lIn0.e30.', 'request_not_supported'],
        ['request_uri', 'https://evil.example/request', 'request_uri_not_supported'],
      ]) {
        const { url, html } = await person.open(authorizeUrl(server, client, pkce().challenge, { [name!]: value! }));
        expect(`${url.href} ${html}`, name).toMatch(error === 'request_not_supported' ? error : /request_uri/);
        expect(url.searchParams.get('code')).toBeNull();
      }
    });

    it('scopes, claims and algorithms: what is there is what is said', async () => {
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
        await expect(registerDynamically(server, { id_token_signed_response_alg: alg }), alg).rejects.toThrow(
          'invalid',
        );
      }
    });
  });

  describe('41. what another site makes a browser send changes nothing', () => {
    it('apps are told of PKCE, so that they are safe without state', () => {
      expect(metadata.code_challenge_methods_supported).toEqual(['S256']);
    });

    /** A form of ours, sent in this person's browser by somebody who cannot read our pages. */
    async function forge(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
      const cookie = [...person.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
      return postForm(server, path, fields, { headers: { cookie, accept: 'text/html', ...headers } });
    }

    const tokenOf = (page: Page) => formsOf(page.html)[0]!.fields.csrf!;

    it.each<[string, Record<string, string>]>([
      ['/login', { email: 'evil@example.com', password: PASSWORD }],
      ['/register', { email: 'new@example.com', password: PASSWORD, name: 'New' }],
      ['/logout', {}],
      ['/setup', { token: 'x', email: 'new@example.com', password: PASSWORD }],
      ['/account/apps/remove', { client_id: 'x' }],
      ['/account/logins/x/end', {}],
      ['/interaction/unknown', { decision: 'allow' }],
    ])('%s', async (path, fields) => {
      const mine = tokenOf(await person.open('/logout'));
      const stranger = new Browser(server.origin);
      const theirs = tokenOf(await stranger.open('/login'));
      for (const csrf of ['', 'x', theirs, mine.slice(1), `${mine} `]) {
        expect((await forge(path, { ...fields, csrf })).status, csrf).toBe(403);
      }
      if (!path.startsWith('/interaction')) expect((await forge(path, fields)).status).toBeGreaterThanOrEqual(400);
      for (const headers of [
        { origin: 'https://evil.example' },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        { origin: server.issuer.replace('http:', 'https:') },
      ]) {
        expect((await forge(path, { ...fields, csrf: mine }, headers as never)).status).toBe(403);
      }
      expect((await person.open('/account')).url.pathname).toBe('/account');
    });

    it('the consent form, with the token of another browser and without one', async () => {
      const app = await registerDynamically(server);
      const page = await person.open(authorizeUrl(server, app, pkce().challenge));
      const { action, fields } = formsOf(page.html)[0]!;
      const stranger = new Browser(server.origin);
      const csrf = tokenOf(await stranger.open('/login'));
      expect((await forge(action, { decision: 'allow', csrf })).status).toBe(403);
      expect((await forge(action, { decision: 'allow' })).status).toBeGreaterThanOrEqual(400);
      expect((await forge(action, { ...fields, decision: 'allow' }, { origin: 'https://evil.example' })).status).toBe(
        403,
      );
      expect((await server.core.consents.list(account.id)).map(({ clientId }) => clientId)).not.toContain(app.id);
    });

    it('the sign-out of an app, and the connection of a device', async () => {
      const browser = new Browser(server.origin);
      const family = await openTokenFamily(server, client, account.email, {}, browser);
      await browser.open('/oauth/logout');
      const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
      const send = (path: string, fields: Record<string, string>) =>
        postForm(server, path, fields, { headers: { cookie, accept: 'text/html' } });
      for (const xsrf of ['', 'x', 'undefined']) {
        expect((await send('/oauth/logout/confirm', { xsrf, logout: 'yes' })).status).toBe(400);
      }
      const code = await userCode();
      await browser.open('/device');
      for (const xsrf of ['', 'x', 'undefined']) {
        const answer = await send('/device', { xsrf, user_code: code, confirm: 'yes' });
        expect(answer.text).not.toContain('Your device is connected');
      }
      expect((await browser.open('/account')).url.pathname).toBe('/account');
      expect((await introspect(server, client, family.accessToken)).body.active).toBe(true);
    });

    it('cookies do not come along from another site, and no script can read them', async () => {
      const seen: string[] = [];
      const login = await sendRequest(server, 'GET', '/login');
      seen.push(...login.cookies);
      const start = authorizeUrl(server, client, pkce().challenge).slice(server.origin.length);
      seen.push(...(await sendRequest(server, 'GET', start)).cookies);
      const csrf = /name="csrf" value="([^"]*)"/.exec(login.text)![1]!;
      const cookie = login.cookies[0]!.split(';')[0]!;
      const signedIn = await postForm(
        server,
        '/login',
        { csrf, email: account.email, password: PASSWORD },
        { headers: { cookie } },
      );
      expect(signedIn.status).toBe(303);
      seen.push(...signedIn.cookies);
      expect(seen.length).toBeGreaterThanOrEqual(4);
      for (const line of seen) {
        expect(line).toMatch(/; httponly/i);
        expect(line).toMatch(/; samesite=(lax|strict)/i);
        expect(line).not.toMatch(/; domain=/i);
      }
    });
  });
});
