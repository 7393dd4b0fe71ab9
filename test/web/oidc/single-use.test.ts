// Codes, proofs and assertions are single use, also under concurrency.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { Browser } from '../../support/browser.js';
import { assertion, dpop, makeKey, tokenWithProof } from '../../support/client-keys.js';
import { DEVICE_GRANT } from '../../support/device.js';
import {
  authorizeUrl,
  isActive,
  obtainCode,
  pkce,
  redeemCode,
  refresh,
  requestToken,
  signInAndConsent,
  type TestClient,
} from '../../support/relying-party.js';
import { postForm } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { activeTokens, concurrently, introspect, openTokenFamily, revoke } from '../../support/token-family.js';

describe.each(stores)('single use on $name', (store) => {
  let server: TestServer;
  let client: TestClient;
  let email: string;
  beforeAll(async () => {
    server = await startServer({ store });
    client = await server.client();
    ({ email } = await server.account());
  });
  afterAll(() => server.close());

  it('lets at most one of 20 concurrent redemptions of a code succeed, and revokes its tokens', async () => {
    const obtained = await obtainCode(server, client, email);
    const responses = await concurrently(20, () => redeemCode(server, client, obtained));
    const accepted = responses.filter(({ status }) => status === 200);
    expect(accepted.length).toBeLessThanOrEqual(1);
    const rejected = responses.filter(({ status }) => status === 400);
    expect(rejected).toHaveLength(20 - accepted.length);
    for (const { body } of rejected) expect(body.error).toBe('invalid_grant');
    expect(await activeTokens(server, client, responses)).toEqual({ accessTokens: [], refreshTokens: [] });
  });

  it('revokes and audits the token family of a code that is redeemed again later', async () => {
    const family = await openTokenFamily(server, client, email);
    expect(await isActive(server, family.accessToken)).toBe(true);
    const replay = await redeemCode(server, client, family);
    expect([replay.status, replay.body.error]).toEqual([400, 'invalid_grant']);
    expect(await isActive(server, family.accessToken)).toBe(false);
    expect((await refresh(server, client, family.refreshToken)).status).toBe(400);
    const events = await server.core.audit.list({ action: 'code.replayed', clientId: client.id });
    expect(events.length).toBeGreaterThanOrEqual(1);
  });

  it('leaves no active token when a code is redeemed while the consent is revoked', async () => {
    const { id, email } = await server.account();
    for (let round = 0; round < 4; round += 1) {
      const obtained = await obtainCode(server, client, email);
      const [response] = await Promise.all([
        redeemCode(server, client, obtained),
        server.core.consents.revoke(id, client.id, systemMeta),
      ]);
      expect(response.status).toBeLessThan(500);
      expect(await activeTokens(server, client, [response])).toEqual({ accessTokens: [], refreshTokens: [] });
    }
  });

  it('issues no code when the session is revoked during the authorization', async () => {
    const { id, email } = await server.account();
    const browser = new Browser(server.origin);
    await openTokenFamily(server, client, email, {}, browser);
    const { consents } = server.core;
    const { find } = consents;
    consents.find = async (...args) => {
      const consent = await find(...args); // the grant is not stored yet
      await revokeAllSessions(server, id, 'revoked');
      return consent;
    };
    const { challenge } = pkce();
    const page = await browser.open(authorizeUrl(server, client, challenge)).finally(() => {
      consents.find = find;
    });
    expect(page.url.searchParams.get('code')).toBeNull();
    expect(page.url.searchParams.get('error')).toBe('access_denied');
    expect(await server.core.oauthStorage.grants.list(id)).toEqual([]);
  });

  it('accepts one of 20 concurrent requests with the same DPoP proof', async () => {
    const key = await makeKey();
    const machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
    const params = { grant_type: 'client_credentials' };
    const withoutNonce = await requestToken(server, machine, params, {
      headers: { dpop: await dpop(key, { htm: 'POST', htu: `${server.issuer}/api/v1/oauth/token` }) },
    });
    expect(withoutNonce.body.error).toBe('use_dpop_nonce');
    const nonce = withoutNonce.headers['dpop-nonce']!;
    const proof = await dpop(key, {
      htm: 'POST',
      htu: `${server.issuer}/api/v1/oauth/token`,
      nonce,
      jti: randomUUID(),
    });
    const responses = await concurrently(20, () => requestToken(server, machine, params, { headers: { dpop: proof } }));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(responses.filter(({ body }) => body.error === 'invalid_grant')).toHaveLength(19);
  });

  it('accepts one of 20 concurrent requests with the same client assertion', async () => {
    const key = await makeKey();
    const machine = await server.client({
      redirect_uris: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] },
    });
    const proof = await assertion(key, machine.id, server.issuer);
    const params = { grant_type: 'client_credentials', ...proof };
    const responses = await concurrently(20, () => requestToken(server, machine, params));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(responses.filter(({ body }) => body.error === 'invalid_client')).toHaveLength(19);
  });

  it('redeems the codes of apps that were authorized concurrently in one browser', async () => {
    const browser = new Browser(server.origin);
    const clients = [await server.client(), await server.client(), await server.client(), await server.client()];
    // Sign in and consent first, so that the concurrent authorizations show no page.
    for (const app of clients) await obtainCode(server, app, email, {}, browser);
    const codes = await Promise.all(clients.map((app) => obtainCode(server, app, email, {}, browser)));
    const responses = await Promise.all(clients.map((app, n) => redeemCode(server, app, codes[n]!)));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (const [n, { body }] of responses.entries()) {
      expect(await isActive(server, body.access_token!)).toBe(true);
      expect((await refresh(server, clients[n]!, body.refresh_token!)).status).toBe(200);
    }
  });

  it('gives each authorization its own token family, so reuse in one leaves the other active', async () => {
    const browser = new Browser(server.origin);
    const reused = await openTokenFamily(server, client, email, {}, browser);
    const other = await openTokenFamily(server, client, email, {}, browser);
    expect((await redeemCode(server, client, reused)).status).toBe(400);
    expect(await isActive(server, reused.accessToken)).toBe(false);
    expect(await isActive(server, other.accessToken)).toBe(true);
    expect((await refresh(server, client, other.refreshToken)).status).toBe(200);
  });

  it('binds a code to client, redirect URI and challenge, and does not consume it on a mismatch', async () => {
    const obtained = await obtainCode(server, client, email);
    const otherClient = await server.client();
    expect((await redeemCode(server, otherClient, obtained)).body.error).toBe('invalid_grant');
    expect((await redeemCode(server, client, { ...obtained, verifier: pkce().verifier })).body.error).toBe(
      'invalid_grant',
    );
    const mismatch = { redirect_uri: 'https://acme.example/other' };
    expect((await redeemCode(server, client, obtained, mismatch)).body.error).toBe('invalid_grant');
    expect((await redeemCode(server, client, obtained)).status).toBe(200);
  });

  it('lets at most one of 10 concurrent polls with a device code succeed, and revokes its tokens', async () => {
    const device = await server.client({
      redirect_uris: [],
      grant_types: [DEVICE_GRANT, 'refresh_token'],
      token_endpoint_auth_method: 'none',
    });
    const { json } = await postForm(server, '/oauth/device', { client_id: device.id, scope: 'openid' });
    const { device_code, user_code } = json as { device_code: string; user_code: string };
    const browser = new Browser(server.origin);
    let page = await browser.submit(await browser.open('/device'), { user_code });
    page = await browser.submit(page, { confirm: 'yes' });
    await signInAndConsent(browser, page, email);

    const params = { grant_type: DEVICE_GRANT, device_code };
    const responses = await concurrently(10, () => requestToken(server, device, params));
    expect(responses.filter(({ status }) => status === 200).length, JSON.stringify(responses)).toBeLessThanOrEqual(1);
    expect(responses.filter(({ body }) => body.error === 'invalid_grant').length).toBeGreaterThanOrEqual(9);
    expect(await activeTokens(server, device, responses)).toEqual({ accessTokens: [], refreshTokens: [] });
  });

  it('rejects the second use of a pushed authorization request', async () => {
    const { challenge } = pkce();
    const { searchParams } = new URL(authorizeUrl(server, client, challenge));
    const pushed = await postForm(server, '/oauth/par', [...searchParams], { client });
    expect(pushed.status).toBe(201);
    const request_uri = String(pushed.json.request_uri);
    const url = `/oauth/authorize?${new URLSearchParams({ client_id: client.id, request_uri })}`;
    const first = await signInAndConsent(new Browser(server.origin), url, email);
    expect(first.searchParams.get('code')).toBeTruthy();
    const second = await new Browser(server.origin).open(url);
    expect(second.url.pathname).not.toBe('/login');
    expect(second.url.searchParams.get('error')).toBe('invalid_request_uri');
    expect(second.url.searchParams.get('code')).toBeNull();
  });

  it('allows a refresh to be retried after the access token of the lost response was revoked', async () => {
    const resource = `${server.issuer}/api/v1`;
    const family = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource });
    const lost = await refresh(server, client, family.refreshToken, { resource });
    expect(lost.status).toBe(200);
    expect((await revoke(server, client, lost.body.access_token!)).status).toBe(200);
    const retried = await refresh(server, client, family.refreshToken, { resource });
    expect([retried.status, retried.body.error]).toEqual([200, undefined]);
    expect((await introspect(server, client, lost.body.access_token!)).body).toEqual({ active: false });
    expect((await introspect(server, client, retried.body.access_token!)).body.active).toBe(true);
  });

  it('requires proof of possession for a sender-constrained token', async () => {
    const key = await makeKey();
    const obtained = await obtainCode(server, client, email);
    const { body } = await tokenWithProof(server, client, key, {
      grant_type: 'authorization_code',
      code: obtained.code,
      code_verifier: obtained.verifier,
      redirect_uri: 'https://acme.example/cb',
    });
    expect(body.token_type).toBe('DPoP');
    expect(await isActive(server, body.access_token!)).toBe(false); // as a bearer token
  });
});
