// No secret is where it does not belong: the journeys of a house, with secrets that can be told
// from everything else, and then the whole log at its most talkative, the whole audit trail and
// every error that was answered.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
import { addCapTable, createClaimedAgent, poll, requestApproval } from '../support/approval-requests.js';
import { Authenticator } from '../support/authenticator.js';
import { Browser } from '../support/browser.js';
import { assertion, dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
import { linkIn, mailTo } from '../support/mailbox.js';
import {
  authorizeUrl,
  isActive,
  pkce,
  REDIRECT_URI,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
} from '../support/relying-party.js';
import { FORM } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { introspect, revoke } from '../support/token-family.js';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const MIN_SECRET_LENGTH = 8;

describe('secrets', () => {
  let server: TestServer;
  const secrets = new Map<string, string>();
  /** What was answered with a status of 400 or more. */
  const errors: { what: string; text: string }[] = [];
  const honestFetch = globalThis.fetch;

  beforeAll(async () => {
    server = await startServer({ settings: { LOG_LEVEL: 'trace', TRUSTED_PROXIES: '127.0.0.1' } });
    globalThis.fetch = async (...request) => {
      const response = await honestFetch(...request);
      if (response.status >= 400) {
        const what = `${request[1]?.method ?? 'GET'} ${new URL(String(request[0])).pathname} (${response.status})`;
        errors.push({ what, text: await response.clone().text() });
      }
      return response;
    };
    await journeys();
    await server.core.audit.flush();
  }, 120_000);
  afterAll(async () => {
    globalThis.fetch = honestFetch;
    await server.close();
  });

  /** Remembers a secret by what it is. */
  function keep(what: string, value: string | undefined | null): string {
    if (!value || value.length < MIN_SECRET_LENGTH) throw new Error(`${what} is no secret: ${value}`);
    secrets.set(`${what} ${secrets.size}`, value);
    return value;
  }

  const keepCookies = (browser: Browser) => {
    for (const [name, { value }] of browser.cookies) keep(`cookie ${name}`, value);
  };

  function keepTokens(body: Record<string, unknown>) {
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      if (typeof body[name] === 'string') keep(name, body[name]);
    }
    return body as Record<string, string>;
  }

  const secret = (what: string) => keep(what, `secret-${what.replace(/\W/g, '-')}-${randomUUID()}`);

  const send = (path: string, body: string, type = FORM, headers: Record<string, string> = {}, method = 'POST') =>
    fetch(`${server.origin}${path}`, {
      method,
      body,
      headers: { 'content-type': type, ...headers },
      redirect: 'manual',
    });

  async function register(metadata: object = {}) {
    const given = JSON.stringify({ client_name: 'Stranger', redirect_uris: [REDIRECT_URI], ...metadata });
    const answer = await send('/oauth/clients/register', given, 'application/json');
    const made = (await answer.json()) as Record<string, string>;
    if (made.client_secret) keep('client secret', made.client_secret);
    keep('registration token', made.registration_access_token);
    return { id: made.client_id!, secret: made.client_secret ?? '', managementToken: made.registration_access_token! };
  }

  async function journeys() {
    const client = await server.client();
    keep('client secret', client.secret);
    const browser = new Browser(server.origin);
    const password = secret('password');
    const email = 'person@example.com';
    await setUp();
    await completeSignIn(browser, email, password);
    await recover();
    await invite();
    await askForApproval();
    const code = await authorize(browser, client, email, password);
    await useTokens(client, code);
    await useFactor();
    await connectDevice(browser, client);
    await pushAndProve(client);
    await manage();
    await misuse(client, browser, email, password);
    await signOut(browser, client);
    await breakDown(client, email, password);
  }

  async function setUp() {
    const setupToken = keep('set-up token', await server.core.bootstrap.createToken());
    const browser = new Browser(server.origin);
    const page = await browser.open(`/setup?token=${setupToken}`);
    const fields = { email: 'keeper@example.com', name: 'Keeper', password: secret('password of the keeper') };
    await browser.submit(page, { ...fields, email: 'nonsense' });
    await browser.submit(page, { ...fields, password: keep('short password', 'qx7Zk!2b') });
    await browser.submit(page, fields);
    await browser.open(`/setup?token=${setupToken}`); // used
    await browser.submit(page, fields);
    keepCookies(browser);
  }

  async function completeSignIn(browser: Browser, email: string, password: string) {
    const form = await browser.open('/register');
    await browser.submit(form, { email: 'nonsense', name: 'Jane', password });
    await browser.submit(form, { email, name: 'Jane', password });
    keepCookies(browser);
    await browser.submit(form, { email, name: 'Jane', password: secret('password for a taken address') });
    const other = new Browser(server.origin);
    await other.signIn(email, secret('wrong password'));
    await other.signIn(secret('password in the place of the address'), email);
    await other.signIn('nobody@example.com', secret('password of nobody'));
    await other.signIn(email, password);
    keepCookies(other);
  }

  /**
   * Somebody who verifies an address, forgets the password, and changes it: by pages and by the
   * API.
   */
  async function recover() {
    const email = 'forgetful@example.com';
    const browser = new Browser(server.origin);
    const first = { email, name: 'Fay', password: secret('password that is forgotten') };
    await browser.submit(await browser.open('/register'), first);
    const openLink = async (subject: RegExp) => {
      const link = linkIn(await mailTo(server, email, subject));
      keep('mailed token', link.searchParams.get('token'));
      return browser.open(link.pathname + link.search);
    };
    const verify = await openLink(/Confirm/);
    await browser.submit(verify);
    await browser.submit(verify); // used
    await browser.submit(await browser.open('/forgot-password'), { email });
    const reset = await openLink(/Choose/);
    await browser.submit(reset, { password: keep('password that is refused', 'qqqqqqqqqqqq') });
    await browser.submit(reset, { password: secret('password'), csrf: secret('csrf of nobody') });
    await server.base.db.$executeRawUnsafe('ALTER TABLE "OneTimeToken" RENAME TO "OneTimeToken_gone"');
    try {
      await browser.submit(reset, { password: secret('password that meets a failure') });
      await browser.submit(await browser.open('/forgot-password'), { email });
      await server.base.background.settle();
    } finally {
      await server.base.db.$executeRawUnsafe('ALTER TABLE "OneTimeToken_gone" RENAME TO "OneTimeToken"');
    }
    const chosen = secret('password that was chosen');
    await browser.submit(reset, { password: chosen });
    await browser.submit(reset, { password: chosen }); // used
    await browser.signIn(email, chosen);
    keepCookies(browser);
    const post = (path: string, body: object, headers = {}) =>
      send(`/api/v1/auth/${path}`, JSON.stringify(body), 'application/json', headers);
    await post('reset-password', { token: secret('wrong token'), new_password: chosen });
    await post('verify-email', { token: secret('wrong token') });
    const login = (await (await post('login-json', { email, password: chosen })).json()) as Record<string, string>;
    const authorization = `Bearer ${keepTokens(login).access_token}`;
    const change = { current_password: chosen, new_password: secret('password that was changed') };
    await post('change-password', { ...change, current_password: secret('wrong password') }, { authorization });
    await post('change-password', change, { authorization });
    await post('forgot-password', { email: secret('password in the place of the address') });
  }

  /** Somebody who is invited, by a link that is opened, missed, and used. */
  async function invite() {
    const [email, password] = ['invited@example.com', secret('password of who is invited')];
    const inviter = (await server.core.accounts.findByEmail('forgetful@example.com'))!;
    const organization = await server.core.organizations.personalOrganizationId(inviter.id);
    const { core } = server;
    await core.accounts.create({ email, password }, systemMeta, { verified: true });
    await core.invitations.create(inviter, organization, { email, role: 'viewer' }, systemMeta);
    const link = linkIn(await mailTo(server, email, /invited/));
    keep('invitation', link.searchParams.get('token'));
    const browser = new Browser(server.origin);
    const page = await browser.open(link.pathname + link.search);
    const login = /href="(\/login[^"]+)"/.exec(page.html)![1]!.replaceAll('&amp;', '&');
    const joining = await browser.signIn(email, password, await browser.open(login));
    await browser.submit(joining, { token: secret('wrong invitation') });
    await server.base.db.$executeRawUnsafe('ALTER TABLE "Invitation" RENAME TO "Invitation_gone"');
    try {
      await browser.submit(joining);
    } finally {
      await server.base.db.$executeRawUnsafe('ALTER TABLE "Invitation_gone" RENAME TO "Invitation"');
    }
    await browser.submit(joining);
    await browser.submit(joining); // used
    keepCookies(browser);
    const body = JSON.stringify({ email, password });
    const answer = await send('/api/v1/auth/login-json', body, 'application/json');
    const authorization = `Bearer ${keepTokens((await answer.json()) as Record<string, unknown>).access_token}`;
    const wrong = JSON.stringify({ token: secret('wrong invitation by the API') });
    await send('/api/v1/invitations/accept', wrong, 'application/json', { authorization });
  }

  /** An agent that asks a person, polls, and gets what it asked for; and one that asks wrongly. */
  async function askForApproval() {
    await addCapTable(server);
    const agent = await createClaimedAgent(server);
    keep('agent key', agent.api_key);
    keep('agent token', agent.token);
    const asked = await requestApproval(server, agent, agent.ownerEmail);
    keep('auth_req_id', asked.body.auth_req_id);
    await poll(server, agent, asked);
    await poll(server, agent, asked); // too soon
    await requestApproval(server, agent, agent.ownerEmail); // while that is open
    await requestApproval(server, { ...agent, api_key: secret('wrong agent key') }, agent.ownerEmail);
    const [open] = await server.core.approvals.list((await server.core.accounts.find(agent.ownerId))!);
    const body = JSON.stringify({ decision: 'approve' });
    const authorization = `Bearer ${keep('access_token', agent.bearer)}`;
    await send(`/api/v1/approvals/${open!.id}`, body, 'application/json', { authorization });
    await send(`/api/v1/approvals/${open!.id}`, body, 'application/json', { authorization }); // again
    keepTokens((await poll(server, agent, asked)).body);
    await poll(server, agent, asked); // again
    await poll(server, agent, { body: { auth_req_id: secret('wrong auth_req_id') } });
  }

  async function authorize(browser: Browser, client: TestClient, email: string, password: string) {
    await browser.submit(await browser.open('/logout'));
    const { verifier, challenge } = pkce();
    keep('code verifier', verifier);
    const login = await browser.open(authorizeUrl(server, client, challenge));
    keepUid(login.url);
    keepCookies(browser);
    await browser.signIn(email, secret('wrong password in a sign-in of an app'), login);
    const consent = await browser.signIn(email, password, login);
    keepUid(consent.url);
    keepCookies(browser);
    const { url } = await browser.submit(consent, { decision: 'allow' });
    await browser.open(consent.url); // over
    await browser.open(consent.url.pathname.replace('/interaction', '/oauth/authorize'));
    return { code: keep('code', url.searchParams.get('code')), verifier };
  }

  /** The id of a step, from its own address or from the link back to it. */
  function keepUid(url: URL) {
    const path = url.searchParams.get('return_to') ?? url.pathname;
    keep('interaction', /\/interaction\/([\w-]+)/.exec(path)?.[1]);
  }

  async function useTokens(client: TestClient, obtained: { code: string; verifier: string }) {
    await redeemCode(server, client, { ...obtained, verifier: keep('wrong verifier', pkce().verifier) });
    const tokens = keepTokens((await redeemCode(server, client, obtained)).body);
    await isActive(server, tokens.access_token!);
    await introspect(server, client, tokens.access_token!);
    const renewed = keepTokens((await refresh(server, client, tokens.refresh_token!)).body);
    const again = keepTokens((await refresh(server, client, renewed.refresh_token!)).body);
    await refresh(server, client, tokens.refresh_token!); // theft
    await refresh(server, client, again.refresh_token!);
    await redeemCode(server, client, obtained); // replay
    await isActive(server, again.access_token!);
    await revoke(server, client, again.access_token!);
    await revoke(server, await server.client(), tokens.access_token!);
    const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    keep('client secret', machine.secret);
    for (const more of [{}, { resource: `${server.issuer}/api/v1`, scope: 'memory:read' }]) {
      const { body } = await requestToken(server, machine, { grant_type: 'client_credentials', ...more } as never);
      keepTokens(body);
      await isActive(server, body.access_token!);
      await introspect(server, machine, body.access_token!);
      await revoke(server, machine, body.access_token!);
    }
  }

  async function useFactor() {
    const [email, password] = ['factor@example.com', secret('password beside a factor')];
    const browser = new Browser(server.origin);
    await browser.submit(await browser.open('/register'), { email, name: 'Jane', password });
    const page = await browser.submit(await browser.open('/account/security'), {}, 1);
    const account = (await server.core.accounts.findByEmail(email))!;
    const app = new Authenticator(keep('factor secret', (await server.core.mfa.pending(account))!.secret));
    secrets.set('factor secret in groups', app.secret.match(/.{4}/g)!.join(' '));
    await browser.submit(page, { otp: secret('code that is none') }, 1);
    const done = await browser.submit(page, { otp: app.code() }, 1);
    const codes = [...done.html.matchAll(/<code>([\d-]+)<\/code>/g)].map(([, code]) => keep('recovery code', code));
    for (const code of codes) secrets.set(`recovery code, without dashes ${code}`, code.replaceAll('-', ''));
    const other = new Browser(server.origin);
    const factor = await other.signIn(email, password);
    keep('challenge', /name="challenge" value="([^"]+)"/.exec(factor.html)?.[1]);
    await other.submit(factor, { otp: keep('wrong recovery code', '9999-9999-9999-9999-9999-9999') });
    await other.submit(factor, { otp: secret('secret in the place of a code'), challenge: secret('wrong challenge') });
    await other.submit(factor, { otp: codes[0]! });
    await other.submit(factor, { otp: codes[0]! }); // used
    keepCookies(other);
    const json = 'application/json';
    await send('/api/v1/auth/login', JSON.stringify({ email, password, otp: codes[0] }), json);
    const answer = await send('/api/v1/auth/login-json', JSON.stringify({ email, password, otp: codes[1] }), json);
    const authorization = `Bearer ${keepTokens((await answer.json()) as Record<string, unknown>).access_token}`;
    await send('/api/v1/auth/reauth', JSON.stringify({ otp: secret('otp to prove') }), json, { authorization });
    await send('/api/v1/auth/reauth', JSON.stringify({ password: secret('password to prove') }), json, {
      authorization,
    });
    await send('/api/v1/auth/mfa/totp/confirm', JSON.stringify({ otp: codes[2] }), json, { authorization });
    await send('/api/v1/auth/mfa/recovery-codes', '', json, { authorization });
    await send('/api/v1/auth/mfa/totp', '', json, { authorization }, 'DELETE');
  }

  async function connectDevice(browser: Browser, client: TestClient) {
    const device = await server.client({
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
    });
    const begin = async () => {
      const answer = await send('/oauth/device', `client_id=${device.id}&scope=openid`);
      const shown = (await answer.json()) as Record<string, string>;
      keep('device code', shown.device_code);
      keep('user code', shown.user_code);
      secrets.set(`user code, as it is stored ${secrets.size}`, shown.user_code!.replace('-', ''));
      return shown;
    };
    const poll = (deviceCode: string) =>
      requestToken(server, device, { grant_type: DEVICE_GRANT, device_code: deviceCode });
    const shown = await begin();
    await poll(shown.device_code!);
    await browser.open(`/device?user_code=${shown.user_code}`);
    const confirm = await browser.submit(await browser.open('/device'), { user_code: shown.user_code! });
    const next = await browser.submit(confirm, { confirm: 'yes' });
    keepCookies(browser);
    if (next.url.pathname.startsWith('/interaction/')) {
      keepUid(next.url);
      await browser.submit(next, { decision: 'allow' });
    }
    keepTokens((await poll(shown.device_code!)).body);
    await poll(shown.device_code!); // again
    const denied = await begin();
    const question = await browser.submit(await browser.open('/device'), { user_code: denied.user_code! });
    await browser.submit(question, { abort: 'yes' });
    await poll(denied.device_code!);
    await requestToken(server, client, { grant_type: DEVICE_GRANT, device_code: denied.device_code! });
    await send('/device', `user_code=${denied.user_code}&xsrf=${secret('xsrf of nobody')}`);
  }

  async function pushAndProve(client: TestClient) {
    const basic = { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` };
    const query = new URL(authorizeUrl(server, client, pkce().challenge)).search.slice(1);
    const pushed = (await (await send('/oauth/par', query, FORM, basic)).json()) as Record<string, string>;
    const requestUri = keep('request_uri', pushed.request_uri);
    const used = new Browser(server.origin);
    for (let n = 0; n < 2; n += 1) {
      const page = await used.open(
        `/oauth/authorize?${new URLSearchParams({ client_id: client.id, request_uri: requestUri })}`,
      );
      if (page.url.searchParams.has('return_to')) keepUid(page.url);
    }
    keepCookies(used);
    const key = await makeKey();
    const jwks = { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] };
    const metadata = {
      grant_types: ['client_credentials'],
      redirect_uris: [],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
    };
    const machine = { ...(await server.client(metadata)), secret: '' };
    const proof = await assertion(key, machine.id, server.issuer);
    keep('assertion', proof.client_assertion);
    const params = { grant_type: 'client_credentials', ...proof };
    keepTokens((await requestToken(server, machine, params)).body);
    await requestToken(server, machine, params); // replay
    const bound = await tokenWithProof(server, machine, key, {
      ...params,
      ...(await assertion(key, machine.id, server.issuer)),
    });
    keepTokens(bound.body);
    const dpopProof = keep('DPoP proof', await dpop(key, { htm: 'GET', htu: `${server.issuer}/elsewhere` }));
    await fetch(`${server.origin}/oauth/userinfo`, {
      headers: { authorization: `DPoP ${bound.body.access_token}`, dpop: dpopProof },
    });
  }

  async function manage() {
    const stranger = await register();
    const path = `/oauth/clients/register/${stranger.id}`;
    const authorization = `Bearer ${stranger.managementToken}`;
    await fetch(`${server.origin}${path}`, { headers: { authorization } });
    const put = (body: object) => send(path, JSON.stringify(body), 'application/json', { authorization }, 'PUT');
    const changed = { client_id: stranger.id, redirect_uris: [REDIRECT_URI] };
    await put({ ...changed, client_secret: stranger.secret });
    await put({ ...changed, client_secret: secret('secret that is not the right one') });
    await put({ ...changed, redirect_uris: [`http://${secret('secret in a redirect URI')}.example`] });
    await fetch(`${server.origin}${path}`, {
      headers: { authorization: `Bearer ${secret('wrong token of a registration')}` },
    });
    await fetch(`${server.origin}${path}`, { method: 'DELETE', headers: { authorization } });
    await fetch(`${server.origin}${path}`, { method: 'DELETE', headers: { authorization } });
    await register({ token_endpoint_auth_method: 'none' });
  }

  /** What a careless app, or a curious person, sends where it does not belong. */
  async function misuse(client: TestClient, browser: Browser, email: string, password: string) {
    const json = 'application/json';
    await send('/oauth/clients/register', `{"client_secret": "${secret('malformed JSON')}", `, json);
    await send('/oauth/clients/register', `{"redirect_uris": "${secret('JSON of the wrong type')}"}`, json);
    await send('/oauth/clients/register', `"${secret('JSON that is a text')}"`, json);
    await send('/oauth/token', `{"client_secret": "${secret('JSON at the token endpoint')}"}`, json);
    await send('/oauth/token', `grant_type=${secret('secret in the place of the grant')}`);
    await send('/oauth/token', `grant_type=password&username=${email}&password=${password}&client_id=${client.id}`);
    await send('/oauth/token', `client_secret=${secret('secret of nobody')}&grant_type=client_credentials`);
    await send('/oauth/token', `${secret('a body that is no form')}%`);
    await send('/oauth/token', 'grant_type=client_credentials', FORM, {
      authorization: `Basic ${secret('malformed Basic')}`,
    });
    await send('/oauth/token', 'grant_type=client_credentials', FORM, { authorization: secret('no scheme at all') });
    await send('/login', `csrf=${secret('csrf of nobody')}&email=${email}&password=${password}`);
    await send('/login', `{"password": "${password}"}`, json);
    await send('/logout', `csrf=${secret('csrf of nobody')}`);
    const queries = [
      '/oauth/userinfo?access_token=',
      '/oauth/token?client_secret=',
      '/login?password=',
      '/setup?token=',
      '/nowhere?token=',
      '/account?code=',
      '/oauth/authorize?code=',
      '/oauth/logout?id_token_hint=',
      '/device?user_code=',
    ];
    for (const path of queries) await browser.open(`${path}${secret(`secret in the query of ${path}`)}`);
    for (const path of ['/interaction/', '/oauth/authorize/', '/device/'])
      await browser.open(`${path}${secret(`secret in ${path}`)}`);
    const bearer = (text: string) => fetch(`${server.origin}/oauth/userinfo`, { headers: { authorization: text } });
    await bearer(`Bearer ${secret('wrong access token')}`);
    await bearer(`DPoP ${secret('wrong bound token')}`);
    await bearer(secret('token without a scheme'));
    await introspect(server, { ...client, secret: secret('wrong client secret') }, secret('token of nobody'));
    await redeemCode(server, client, { code: secret('wrong code'), verifier: keep('verifier', pkce().verifier) });
    await refresh(server, client, secret('wrong refresh token'));
    await browser.open(
      authorizeUrl(server, client, pkce().challenge, {
        redirect_uri: 'https://evil.example/cb',
        state: secret('state'),
      }),
    );
    await browser.open(
      authorizeUrl(server, client, pkce().challenge, { id_token_hint: secret('hint'), prompt: 'none' }),
    );
    await fetch(`${server.origin}/account`, {
      headers: { cookie: `signet_login=${secret('wrong cookie')}` },
      redirect: 'manual',
    });
  }

  async function signOut(browser: Browser, client: TestClient) {
    const { verifier, challenge } = pkce();
    const { url } = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'none' }));
    const code = keep('code', url.searchParams.get('code'));
    const { id_token: hint } = keepTokens((await redeemCode(server, client, { code, verifier })).body);
    await browser.open(`/oauth/logout?id_token_hint=${hint}&post_logout_redirect_uri=https://evil.example`);
    const page = await browser.open(`/oauth/logout?id_token_hint=${hint}`);
    keepCookies(browser);
    await browser.submit(page, { logout: 'yes' });
    await browser.submit(page, { logout: 'yes' });
  }

  /**
   * Everything once more, with tables that are gone: what a database says of a failure holds what
   * it was asked.
   */
  async function breakDown(client: TestClient, email: string, password: string) {
    const browser = new Browser(server.origin);
    await browser.signIn(email, password);
    keepCookies(browser);
    const { verifier, challenge } = pkce();
    const { url } = await browser.open(authorizeUrl(server, client, challenge));
    const code = keep('code', url.searchParams.get('code'));
    const tokens = keepTokens((await redeemCode(server, client, { code, verifier })).body);
    const next = new URL((await browser.open(authorizeUrl(server, client, challenge))).url);
    const waiting = { code: keep('code', next.searchParams.get('code')), verifier };
    for (const table of ['OidcArtifact', 'RefreshToken', 'Grant', 'Session', 'Account']) {
      await server.base.db.$executeRawUnsafe(`ALTER TABLE "${table}" RENAME TO "${table}_gone"`);
      try {
        const parts = [
          redeemCode(server, client, waiting),
          refresh(server, client, tokens.refresh_token!),
          isActive(server, tokens.access_token!),
          introspect(server, client, tokens.access_token!),
          browser.open('/account'),
          new Browser(server.origin).signIn(email, password),
          new Browser(server.origin).open(authorizeUrl(server, client, challenge)),
        ];
        await Promise.allSettled(parts);
      } finally {
        await server.base.db.$executeRawUnsafe(`ALTER TABLE "${table}_gone" RENAME TO "${table}"`);
      }
    }
  }

  /** All forms in which a secret can stand in a text. */
  const formsOfSecret = (value: string) => [
    ...new Set([
      value,
      encodeURIComponent(value),
      Buffer.from(value).toString('base64url'),
      JSON.stringify(value).slice(1, -1),
    ]),
  ];

  function findIn(text: string): string[] {
    return [...secrets]
      .filter(([, value]) => formsOfSecret(value).some((form) => text.includes(form)))
      .map(([what]) => what);
  }

  it('are many, and the journeys went where they should', () => {
    const kinds = new Set([...secrets.keys()].map((what) => what.replace(/ \d+$/, '')));
    for (const kind of [
      'code',
      'access_token',
      'refresh_token',
      'id_token',
      'device code',
      'mailed token',
      'auth_req_id',
      'invitation',
      'user code',
      'interaction',
      'set-up token',
      'factor secret',
      'recovery code',
      'challenge',
      'request_uri',
      'assertion',
      'cookie signet_login',
    ]) {
      expect([...kinds], kind).toContain(kind);
    }
    expect(secrets.size).toBeGreaterThan(100);
    expect(errors.length).toBeGreaterThan(50);
    expect(errors.some(({ what }) => what.includes('(500)') || what.includes('(503)'))).toBe(true);
  });

  it('are not in the log, not even at its most talkative', () => {
    expect(server.lines.length).toBeGreaterThan(200);
    expect(server.lines.filter((line) => line.includes('"level":"error"')).length).toBeGreaterThan(5);
    for (const line of server.lines) expect(findIn(line), line).toEqual([]);
  });

  it('are not in the audit trail', async () => {
    const rows = await server.base.db.auditEvent.findMany();
    const actions = new Set(rows.map(({ action }) => action));
    for (const action of [
      'account.created',
      'approval.approved',
      'client.deleted',
      'client.registered',
      'code.replayed',
      'consent.granted',
      'email.verified',
      'invitation.accepted',
      'password.changed',
      'password.reset',
      'password.reset_requested',
      'mfa.enrolled',
      'mfa.recovery_code_used',
      'mfa.recovery_codes_regenerated',
      'mfa.removed',
      'refresh_token.replayed',
      'session.ended',
      'setup.completed',
      'sign_in.failed',
      'sign_in.succeeded',
      'token.denied',
      'token.revoked',
    ]) {
      expect([...actions], action).toContain(action);
    }
    for (const row of rows) expect(findIn(JSON.stringify(row)), JSON.stringify(row)).toEqual([]);
  });

  it('are in no error that anybody is told', () => {
    for (const { what, text } of errors) {
      // A form that has to be filled in again, and the links beside it, hold what leads back to the
      // step; but never a password.
      const isForm = text.includes('<form');
      const found = findIn(isForm ? text.replace(/<form[\s\S]*?<\/form>|href="\/(login|register)\?[^"]*"/g, '') : text);
      const passwords = findIn(text).filter(
        (name) => /^(short |wrong )?password/.test(name) && !name.includes('in the place'),
      );
      expect([...found, ...passwords], `${what}: ${text}`).toEqual([]);
    }
  });

  it('would be found if they were there', () => {
    const [what, value] = [...secrets][0]!;
    for (const form of formsOfSecret(value)) expect(findIn(`{"x":"${form}"}`)).toContain(what);
  });
});
