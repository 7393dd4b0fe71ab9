// Dynamically registered clients and clients with metadata documents, whose identity is not
// verified (RFC 7591, RFC 7592). Metadata documents in detail:
// test/core/clients/metadata-documents.test.ts.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { DEVICE_GRANT } from '../support/device.js';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import { authorizeUrl, pkce, REDIRECT_URI } from '../support/relying-party.js';
import { postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { concurrently } from '../support/token-family.js';

describe('self-registered clients', () => {
  let server: TestServer;
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    ({ browser } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const start = (app: { id: string }, more: Record<string, string> = {}) =>
    authorizeUrl(server, app, pkce().challenge, more);

  it('are not created from a metadata document that cannot be fetched', async () => {
    for (const id of [
      'https://evil.example/client.json',
      'https://127.0.0.1/client.json',
      'http://evil.example/c.json',
    ]) {
      const page = await browser.open(start({ id }));
      expect([page.status, page.url.origin], id).toEqual([400, server.origin]);
      expect(await server.core.clients.find(id)).toBeUndefined();
    }
  });

  it.each(['\u200b', '\u2060', '\ufeff', '   ', '\u3164', '\u00ad\u200d', '\u{e0041}'])(
    'cannot have the invisible name %j',
    async (name) => {
      expect((await requestRegistration(server, { client_name: name })).json.error).toBe('invalid_client_metadata');
    },
  );

  it('are shown as not verified on the device page', async () => {
    const app = await registerDynamically(server, {
      client_name: 'Your bank',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
    });
    const { json } = await postForm(server, '/oauth/device', {}, { client: app });
    const page = await browser.submit(await browser.open('/device'), { user_code: String(json.user_code) });
    expect(page.html).toContain('Your bank');
    expect(page.html).toContain('not verified');
  });

  it('cannot read or set internal properties', async () => {
    const { status, json } = await requestRegistration(server, {
      origin: 'admin',
      first_party: true,
      pkce_required: false,
    });
    expect(status).toBe(201);
    const headers = { authorization: `Bearer ${json.registration_access_token}` };
    const read = await sendRequest(server, 'GET', `/oauth/clients/register/${json.client_id}`, headers);
    for (const metadata of [json, read.json]) {
      expect(Object.keys(metadata)).toEqual(expect.arrayContaining(['client_id', 'redirect_uris']));
      for (const name of ['origin', 'first_party', 'pkce_required']) expect(metadata).not.toHaveProperty(name);
    }
    expect(await server.core.clients.find(String(json.client_id))).toMatchObject({
      origin: 'registration',
      firstParty: false,
      pkceRequired: true,
    });
  });

  it('can be deleted once: the second request gets 401', async () => {
    const app = await registerDynamically(server);
    const headers = { authorization: `Bearer ${app.managementToken}` };
    const remove = () => sendRequest(server, 'DELETE', `/oauth/clients/register/${app.id}`, headers);
    expect((await remove()).status).toBe(204);
    expect((await remove()).status).toBe(401);
    const second = await registerDynamically(server);
    const authorization = `Bearer ${second.managementToken}`;
    const path = `/oauth/clients/register/${second.id}`;
    const responses = await concurrently(5, () => sendRequest(server, 'DELETE', path, { authorization }));
    expect(responses.filter(({ status }) => status === 204).length).toBeGreaterThanOrEqual(1);
    expect(responses.filter(({ status }) => ![204, 401].includes(status))).toEqual([]);
  });

  it('cannot use a redirect URI that they removed', async () => {
    const app = await registerDynamically(server);
    expect((await new Browser(server.origin).open(start(app))).status).toBe(200);
    const headers = { authorization: `Bearer ${app.managementToken}`, 'content-type': 'application/json' };
    const { client_id, client_name } = app.metadata;
    const changed = { client_id, client_name, redirect_uris: ['https://acme.example/new'] };
    const update = await sendRequest(
      server,
      'PUT',
      `/oauth/clients/register/${app.id}`,
      headers,
      JSON.stringify(changed),
    );
    expect(update.status).toBe(200);
    expect((await new Browser(server.origin).open(start(app, { redirect_uri: REDIRECT_URI }))).status).toBe(400);
  });
});
