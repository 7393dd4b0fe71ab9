// Codes, tokens, passwords, cookies and keys are neither stored nor logged in plain text.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import { DEVICE_GRANT } from '../../support/device.js';
import { registerDynamically } from '../../support/registration.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
} from '../../support/relying-party.js';
import { postForm } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

const WRONG_PASSWORD = 'a password that is wrong';

describe.each(stores)('stores and log with $name', (store) => {
  let server: TestServer;
  let client: TestClient;
  let email: string;
  beforeAll(async () => {
    server = await startServer({ store });
    client = await server.client();
    ({ email } = await server.account());
  });
  afterAll(() => server.close());

  it('contain no secret after authorizations, registrations and sign-ins', async () => {
    const secrets = { ...(await useBrowser()), ...(await useEndpoints()) };
    await server.core.audit.flush();
    const stored = await readStores(server);
    const logged = server.lines.join('\n');
    expect(stored.length).toBeGreaterThan(5000);
    for (const [name, secret] of Object.entries(secrets)) {
      expect(secret, name).toBeTruthy();
      // The id of an interaction is stored, but useless without its signature in a separate cookie.
      if (/^cookie signet_(interaction|resume) /.test(name)) continue;
      expect(stored.includes(secret!), `${name} is stored`).toBe(false);
      expect(logged.includes(secret!), `${name} is logged`).toBe(false);
    }
  });

  /** Authorizes in a browser. Returns its cookies, codes and tokens. */
  async function useBrowser(): Promise<Record<string, string | undefined>> {
    const browser = new Browser(server.origin);
    const secrets: Record<string, string> = {};
    const collectCookies = () => {
      for (const [name, { value }] of browser.cookies) secrets[`cookie ${name} ${value.slice(0, 4)}`] = value;
    };
    const page = await browser.open(authorizeUrl(server, client, pkce().challenge));
    expect(page.url.pathname).toBe('/login');
    collectCookies();
    const pending = await obtainCode(server, client, email, {}, browser);
    collectCookies();
    const redeemed = await obtainCode(server, client, email, {}, browser);
    const tokens = (await redeemCode(server, client, redeemed)).body;
    const resource = `${server.issuer}/api/v1`;
    const family = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource }, browser);
    const renewed = (await refresh(server, client, family.refreshToken, { resource })).body;
    await new Browser(server.origin).signIn(email, WRONG_PASSWORD);
    return {
      ...secrets,
      password: PASSWORD,
      wrongPassword: WRONG_PASSWORD,
      code: pending.code,
      redeemedCode: redeemed.code,
      verifier: redeemed.verifier,
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      idToken: tokens.id_token,
      jwtAccessToken: family.accessToken,
      renewedRefreshToken: renewed.refresh_token,
      renewedAccessToken: renewed.access_token,
    };
  }

  /** Calls the endpoints that issue secrets to programs. Returns the secrets. */
  async function useEndpoints(): Promise<Record<string, string | undefined>> {
    const machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
    const device = await server.client({
      redirect_uris: [],
      grant_types: [DEVICE_GRANT],
      token_endpoint_auth_method: 'none',
    });
    const { searchParams } = new URL(authorizeUrl(server, client, pkce().challenge));
    const pushed = await postForm(server, '/oauth/par', [...searchParams], { client });
    const registered = await registerDynamically(server);
    const deviceAuthorization = await postForm(server, '/oauth/device', { client_id: device.id });
    return {
      clientSecret: client.secret,
      clientCredentialsToken: (await requestToken(server, machine, { grant_type: 'client_credentials' })).body
        .access_token,
      setupToken: await server.core.bootstrap.createToken(),
      registeredSecret: registered.secret,
      registrationToken: registered.managementToken,
      requestUri: String(pushed.json.request_uri).split(':').at(-1),
      deviceCode: String(deviceAuthorization.json.device_code),
      signingKey: server.core.keys.signer('ES256').jwk.d,
    };
  }
});

/** Returns the content of the database and of Redis as text. */
async function readStores({ base: { db, redis }, config }: TestServer): Promise<string> {
  const tables = [
    db.account,
    db.session,
    db.client,
    db.consent,
    db.grant,
    db.refreshToken,
    db.oidcArtifact,
    db.oneTimeToken,
    db.signingKey,
    db.auditEvent,
    db.rateLimit,
  ] as unknown as { findMany(): Promise<object[]> }[];
  const rows = await Promise.all(tables.map((table) => table.findMany()));
  const keys = redis ? await redis.keys(`${config.redisPrefix}*`) : [];
  const values = await Promise.all(
    keys.map(async (key) => [
      key,
      (await redis!.type(key)) === 'hash' ? await redis!.hgetall(key) : await redis!.get(key),
    ]),
  );
  return JSON.stringify([rows, values], (_key, value) => (typeof value === 'bigint' ? String(value) : value));
}
