// Clients with a metadata document at their client id: valid, invalid and malicious ones.

import { generateKeyPairSync, randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { isDocumentUrl } from '../../../src/core/clients/metadata-document.js';
import { Browser } from '../../support/browser.js';
import { type DocumentHost, openDocumentHost, type ServedDocument } from '../../support/client-documents.js';
import { movableClock } from '../../support/movable-clock.js';
import { isConsent } from '../../support/openid-client.js';
import {
  authorizeUrl,
  isActive,
  obtainCode,
  pkce,
  redeemCode,
  refresh,
  signInAndConsent,
} from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

/** Returns a promise for the `after` option of a document, and a function that resolves it. */
function pendingResponse() {
  let release!: () => void;
  const after = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { after, release };
}

describe('the URL of a metadata document', () => {
  it.each(['https://app.example/client.json', 'https://app.example:8443/a/b?c=d'])('can be %s', (id) => {
    expect(isDocumentUrl(id)).toBe(true);
  });

  it.each([
    'http://app.example/client.json',
    'http://localhost/client.json',
    'https://app.example',
    'https://app.example/',
    'https://APP.example/client.json',
    'https://app.example:443/client.json',
    'https://app.example/a/../client.json',
    'https://app.example/%2e%2e/client.json',
    'https://user@app.example/client.json',
    'https://app.example/client.json#a',
    'https://app.example/client .json',
    `https://app.example/${'a'.repeat(1000)}`,
    'ftp://app.example/client.json',
    'b5b5ff3c-6fd6-4a5a-9c1b-000000000000',
  ])('cannot be %s', (id) => {
    expect(isDocumentUrl(id)).toBe(false);
  });
});

describe.each(stores)('a client with a metadata document on $name', (store) => {
  let server: TestServer;
  let host: DocumentHost;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    host = await openDocumentHost();
    server = await startServer({ store, clock, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterAll(async () => {
    await server.close();
    await host.close();
  });

  const randomAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
  const requestAuthorization = (id: string, more: Record<string, string> = {}, address = randomAddress()) =>
    sendRequest(server, 'GET', authorizeUrl({ origin: '' }, { id }, pkce().challenge, more), {
      'x-forwarded-for': address,
    });
  const publicClient = (id: string) => ({ id, secret: '' });

  it('signs users in without registration, is shown as unverified with its host, and always requires consent', async () => {
    const id = host.serveClient();
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    for (const round of ['first', 'second']) {
      const { challenge, verifier } = pkce();
      const page = await browser.open(authorizeUrl(server, { id }, challenge));
      expect(isConsent(page), round).toBe(true);
      expect(page.html).toContain('Notebook');
      expect(page.html).toContain('This app is not verified.');
      expect(page.html).toContain(`come from <strong class="host">${new URL(id).host}</strong>`);
      const code = (await signInAndConsent(browser, page, email)).searchParams.get('code')!;
      const { status, body } = await redeemCode(server, publicClient(id), { code, verifier });
      expect(status).toBe(200);
      expect(await isActive(server, body.access_token!)).toBe(true);
      expect((await refresh(server, publicClient(id), body.refresh_token!)).status).toBe(200);
    }
    expect(host.timesFetched(id)).toBe(1);
    const silent = await signInAndConsent(
      browser,
      authorizeUrl(server, { id }, pkce().challenge, { prompt: 'none' }),
      email,
    );
    expect(silent.searchParams.get('error')).toBe('consent_required');
    const row = await server.core.clients.find(id);
    expect(row).toMatchObject({ origin: 'document', firstParty: false, pkceRequired: true, secretHash: null });
    expect(await server.core.audit.list({ clientId: id, action: 'client.registered' })).toHaveLength(1);
  });

  it('is shown with a warning when it redirects to the local computer', async () => {
    const id = host.serveClient({ redirect_uris: ['http://localhost/cb'] });
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const page = await browser.open(
      authorizeUrl(server, { id }, pkce().challenge, { redirect_uri: 'http://localhost:51234/cb' }),
    );
    expect(page.html).toContain('Any program on this computer can impersonate it.');
    expect(page.html).toContain('localhost:51234');
  });

  it('can have members that are null', async () => {
    const nothing = { logo_uri: null, contacts: null, scope: null, jwks: null, jwks_uri: null };
    const id = host.serveClient({ ...nothing, client_secret: null, client_secret_expires_at: null });
    expect((await requestAuthorization(id)).status).toBe(303);
  });

  it('is fetched and stored once for concurrent requests', async () => {
    const id = host.serveClient();
    const responses = await concurrently(20, () => requestAuthorization(id));
    expect(responses.map(({ status }) => status)).toEqual(Array(20).fill(303));
    expect(host.timesFetched(id)).toBe(1);
    expect(await server.core.audit.list({ clientId: id, action: 'client.registered' })).toHaveLength(1);
  });

  it.each<[string, Record<string, unknown>, ServedDocument]>([
    ['has another client_id', { client_id: 'https://app.example/other.json' }, {}],
    ['has no name', { client_name: undefined }, {}],
    ['has no redirect URI', { redirect_uris: undefined }, {}],
    ['redirects over http', { redirect_uris: ['http://evil.example/cb'] }, {}],
    ['redirects to a script', { redirect_uris: ['javascript:alert(1)'] }, {}],
    ['redirects to a wildcard', { redirect_uris: ['https://*.example/cb'] }, {}],
    ['uses a secret', { token_endpoint_auth_method: 'client_secret_basic' }, {}],
    ['uses a secret in the body', { token_endpoint_auth_method: 'client_secret_post' }, {}],
    ['contains a secret', { client_secret: 'known to all' }, {}],
    [
      'has keys on another host',
      { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/jwks' },
      {},
    ],
    ['has a back-channel logout URI', { backchannel_logout_uri: 'http://10.0.0.1/', redirect_uris: [] }, {}],
    ['wants only client credentials', { grant_types: ['client_credentials'] }, {}],
    ['is too long', { client_uri: `https://acme.example/${'x'.repeat(6000)}` }, {}],
    ['is not JSON', {}, { body: '<html>' }],
    ['is a list', {}, { body: [] }],
    ['is null', {}, { body: 'null' }],
    ['is served as HTML', {}, { headers: { 'content-type': 'text/html' } }],
    ['is served as a script', {}, { headers: { 'content-type': 'application/javascript' } }],
    ['redirects', {}, { status: 302, headers: { location: '/apps/1.json' } }],
    ['does not exist', {}, { status: 404 }],
    ['is compressed', {}, { headers: { 'content-encoding': 'gzip' } }],
  ])('is rejected when its document %s', async (_name, changes, rest) => {
    const id = host.serveClient(changes, rest);
    const response = await requestAuthorization(id);
    expect(response.status, response.text).toBe(400);
    expect(response.headers.location).toBeUndefined();
    expect(await server.core.clients.find(id)).toBeUndefined();
    const { status, json } = await postForm(server, '/oauth/token', {
      grant_type: 'authorization_code',
      client_id: id,
    });
    expect([status, json.error]).toEqual([400, 'invalid_client']);
    expect(host.timesFetched(id), 'the failure is cached').toBe(1);
  });

  it('has no more rights than an anonymous registration', async () => {
    const id = host.serveClient({
      grant_types: ['authorization_code', 'client_credentials'],
      scope: 'openid root email',
      origin: 'admin',
      first_party: true,
      pkce_required: false,
    });
    expect((await requestAuthorization(id, { scope: 'openid email' })).status).toBe(303);
    const row = await server.core.clients.find(id);
    expect(row).toMatchObject({ origin: 'document', firstParty: false, pkceRequired: true });
    expect(row!.metadata).toMatchObject({ grant_types: ['authorization_code'], scope: 'openid email' });
    expect(row!.metadata).not.toHaveProperty('first_party');
    const query = { redirect_uri: 'https://evil.example/cb' };
    expect((await requestAuthorization(id, query)).status).toBe(400);
  });

  it('can authenticate with a key in its document or at its host', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwks = { keys: [publicKey.export({ format: 'jwk' })] };
    const method = { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' };
    expect((await requestAuthorization(host.serveClient({ ...method, jwks }))).status).toBe(303);
    expect((await requestAuthorization(host.serveClient({ ...method, jwks_uri: `${host.origin}/jwks` }))).status).toBe(
      303,
    );
    const id = host.serveClient({ ...method, jwks });
    await requestAuthorization(id);
    const { status, json } = await postForm(server, '/oauth/token', {
      grant_type: 'authorization_code',
      client_id: id,
    });
    expect([status, json.error]).toEqual([401, 'invalid_client']);
  });

  it('is used while stale and fetched in the background, and is rejected once its document is gone', async () => {
    const id = host.serveClient({}, { headers: { 'cache-control': 'max-age=600' } });
    const { email } = await server.account();
    const { body } = await redeemCode(server, publicClient(id), await obtainCode(server, { id }, email));
    let refreshToken = body.refresh_token!;
    const renew = async () => {
      const response = await refresh(server, publicClient(id), refreshToken);
      refreshToken = response.body.refresh_token ?? refreshToken;
      return response;
    };
    await later(580_000, async () => {
      expect((await renew()).status).toBe(200);
      expect(host.timesFetched(id)).toBe(1);
    });
    await later(620_000, async () => {
      host.serve(id, { client_name: 'Notebook 2' }, { headers: { 'cache-control': 'max-age=600' } });
      expect((await renew()).status).toBe(200);
      await server.core.waitUntilIdle();
      expect(host.timesFetched(id)).toBe(2);
      expect((await server.core.clients.find(id))?.name).toBe('Notebook 2');
    });
    await later(1300_000, async () => {
      host.serve(id, {}, { status: 503 });
      expect((await renew()).status).toBe(200);
      await server.core.waitUntilIdle();
      expect((await renew()).status).toBe(200);
    });
    await later(1400_000, async () => {
      host.serve(id, {}, { status: 404 });
      expect((await renew()).status).toBe(200);
      await server.core.waitUntilIdle();
      expect((await renew()).body.error).toBe('invalid_client');
    });
    await later(1440_000, async () => {
      expect((await renew()).body.error).toBe('invalid_client');
      host.serve(id, {});
    });
    await later(1480_000, async () => {
      expect((await renew()).status).toBe(200);
    });
  });

  it('does not make a sign-in wait for a slow host while it is stale', async () => {
    const id = host.serveClient();
    await requestAuthorization(id);
    await later(3_700_000, async () => {
      const { after, release } = pendingResponse();
      host.serve(id, {}, { after });
      expect((await requestAuthorization(id)).status).toBe(303); // although the host has not responded
      release();
      await server.core.waitUntilIdle();
    });
  });

  it('is fetched by at most four requests to one host or from one network at the same time', async () => {
    const { after, release } = pendingResponse();
    const ids = Array.from({ length: 6 }, () => host.serveClient({}, { after }));
    const requests = ids.map(async (id) => (await requestAuthorization(id, {}, '198.51.100.9')).status);
    expect(await Promise.race(requests)).toBe(400); // a rejected one responds first
    release();
    expect((await Promise.all(requests)).sort()).toEqual([303, 303, 303, 303, 400, 400]);
  });

  it('is cached for at least five minutes and at most a day', async () => {
    const cachedMinutes = async (cacheControl: string) => {
      const id = host.serveClient({}, { headers: { 'cache-control': cacheControl } });
      await requestAuthorization(id);
      const { documentFreshUntil } = (await server.core.clients.find(id))!;
      return Math.round((documentFreshUntil!.getTime() - Date.now()) / 60_000);
    };
    expect(await cachedMinutes('no-store')).toBe(5);
    expect(await cachedMinutes('private, max-age=1200')).toBe(20);
    expect(await cachedMinutes('max-age=31536000')).toBe(24 * 60);
    expect(await cachedMinutes('private')).toBe(60);
  });

  it('is rate limited to sixty new documents an hour from one network', async () => {
    const address = '198.51.100.7';
    const statuses = [];
    for (let n = 0; n < 61; n += 1)
      statuses.push((await requestAuthorization(`${host.origin}/none/${n}`, {}, address)).status);
    expect(statuses.slice(0, 60).every((status) => status === 400)).toBe(true);
    expect(statuses[60]).toBe(429);
    expect((await requestAuthorization(host.serveClient())).status).toBe(303);
  });

  it('is deleted with its grants and consents', async () => {
    const id = host.serveClient();
    const { email } = await server.account();
    const { body } = await redeemCode(server, publicClient(id), await obtainCode(server, { id }, email));
    await server.core.clients.remove(id, systemMeta);
    expect(await isActive(server, body.access_token!)).toBe(false);
  });
});

describe('a public server', () => {
  let server: TestServer;
  let host: DocumentHost;
  beforeAll(async () => {
    host = await openDocumentHost();
    server = await startServer({ settings: { ISSUER: 'https://id.example' } });
  });
  afterAll(async () => {
    await server.close();
    await host.close();
  });

  it.each([
    'https://127.0.0.1/client.json',
    'https://[::1]/client.json',
    'https://localhost/client.json',
    'https://10.0.0.1/client.json',
    'https://169.254.169.254/latest/meta-data',
    'https://192.168.1.1/client.json',
    'https://[fd00::1]/client.json',
  ])('never fetches a metadata document from %s', async (id) => {
    const response = await sendRequest(server, 'GET', authorizeUrl({ origin: '' }, { id }, pkce().challenge));
    expect([response.status, response.text.includes('cannot be fetched')], response.text).toEqual([400, true]);
  });

  it('never fetches a metadata document over http', async () => {
    const id = host.serveClient();
    const response = await sendRequest(server, 'GET', authorizeUrl({ origin: '' }, { id }, pkce().challenge));
    expect([response.status, host.timesFetched(id)]).toEqual([400, 0]);
  });

  it('advertises metadata documents in discovery only if they are enabled and registration is open', async () => {
    const supported = async (settings: Record<string, string>) => {
      const other = await startServer({ sharedWith: server, settings });
      try {
        const id = host.serveClient();
        const authorization = await sendRequest(other, 'GET', authorizeUrl({ origin: '' }, { id }, pkce().challenge));
        const metadata = (await sendRequest(other, 'GET', '/.well-known/oauth-authorization-server')).json;
        expect(metadata.token_endpoint_auth_methods_supported).toContain('none');
        expect(metadata.authorization_response_iss_parameter_supported).toBe(true);
        return [metadata.client_id_metadata_document_supported, authorization.status === 303];
      } finally {
        await other.close();
      }
    };
    const local = { ISSUER: 'http://localhost:1' };
    expect(await supported(local)).toEqual([true, true]);
    expect(await supported({ ...local, CLIENT_ID_METADATA_DOCUMENTS: 'off' })).toEqual([undefined, false]);
    expect(await supported({ ...local, REGISTRATION: 'closed' })).toEqual([undefined, false]);
    expect(await supported({ ...local, REGISTRATION: 'closed', CLIENT_ID_METADATA_DOCUMENTS: 'on' })).toEqual([
      true,
      true,
    ]);
  });
});
