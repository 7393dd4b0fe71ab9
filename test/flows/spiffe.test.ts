// Workloads: programs that their platform certifies (SPIFFE). They are somebody at our API by their
// certificate, and are OAuth clients by their certificate or token, without any secret of ours.

import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
import { createSignedInAccount } from '../support/api.js';
import { assertion, makeKey } from '../support/client-keys.js';
import { requestRegistration } from '../support/registration.js';
import { requestToken, type TestClient, type TokenResponse } from '../support/relying-party.js';
import { callApi, sendRequest, type Target } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import {
  asHeader,
  type Holder,
  issue,
  makeAuthority,
  makeBundleFolder,
  makeTrustDomain,
} from '../support/workloads.js';

const HEADER = 'x-svid';
const ID = 'spiffe://example.org/ns/shop/sa/api';
const JWT_SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

describe('a workload', () => {
  const own = makeTrustDomain('example.org');
  const partner = makeTrustDomain('partner.com');
  const stranger = makeTrustDomain('stranger.example');
  const bundles = makeBundleFolder(own, partner);
  let server: TestServer;
  /** On the same store, where no proxy is trusted. */
  let bare: TestServer;
  let ahead = 0;

  beforeAll(async () => {
    const spiffe = {
      TEST_AUTH: 'true',
      CLIENT_CERT_HEADER: 'X-SVID',
      SPIFFE_TRUST_DOMAIN: 'example.org',
      SPIFFE_TRUSTED_DOMAINS: 'example.org, partner.com',
      SPIFFE_BUNDLES: bundles.folder,
    };
    const clock = { now: () => new Date(Date.now() + ahead) };
    server = await startServer({ settings: { ...spiffe, TRUSTED_PROXIES: '127.0.0.1' }, clock });
    bare = await startServer({ sharedWith: server, settings: spiffe });
  });
  afterAll(async () => {
    await bare?.close();
    await server?.close();
    rmSync(bundles.folder, { recursive: true, force: true });
  });

  const workload = (metadata: Record<string, unknown>) =>
    server.core.clients.create(
      { metadata: { client_name: 'Shop', grant_types: ['client_credentials'], ...metadata } },
      systemMeta,
    );

  describe('at our API, by its certificate', () => {
    const status = (chain: Holder[], headers: Record<string, string> = {}, at: Target = server) =>
      callApi(at, 'GET', '/test-auth/auth-status', {
        headers: { ...(chain.length > 0 && { [HEADER]: asHeader(...chain) }), ...headers },
      });

    it('is an agent by the name of its SPIFFE ID, of each domain that is trusted', async () => {
      for (const domain of [own, partner]) {
        const answer = await status([domain.workload('/api')]);
        expect(answer.json).toEqual({
          authenticated: true,
          principal: { type: 'agent', id: `spiffe://${domain.name}/api` },
        });
      }
    });

    it('is rejected when no authority of its trust domain signed the certificate', async () => {
      const forged = issue(makeAuthority('Authority of example.org'), { uris: [ID] });
      for (const chain of [
        [stranger.workload()],
        [forged],
        [issue(partner.authority(), { uris: [ID] })],
        [own.workload('/api', { to: new Date(Date.now() - 1000) })],
      ]) {
        const answer = await status(chain);
        expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token']);
      }
    });

    it('stays anonymous when the header comes from an untrusted peer or has another name', async () => {
      const anonymous = { authenticated: false, principal: { type: 'anonymous' } };
      const holder = own.workload();
      expect((await status([holder], {}, bare)).json).toEqual(anonymous);
      expect((await status([], { 'x-client-cert': asHeader(holder) })).json).toEqual(anonymous);
    });

    it('is looked at where nothing else was sent, and where it is a credential at all', async () => {
      const { access_token: accessToken, accountId } = await createSignedInAccount(server);
      const person = { authenticated: true, principal: { type: 'human', id: accountId } };
      const holder = own.workload();
      for (const headers of [
        { authorization: `Bearer ${accessToken}` },
        { cookie: `cap_access=${accessToken}` },
      ] as Record<string, string>[])
        expect((await status([holder], headers)).json).toEqual(person);
      expect((await status([holder], { authorization: 'Bearer nonsense' })).status).toBe(401);
      // No SPIFFE ID, nobody; and where no workload is expected its certificate stands in nobody's
      // way.
      expect((await status([issue(own.authority(), { dnsNames: ['api.example.org'] })])).json.authenticated).toBe(
        false,
      );
      const me = (headers: Record<string, string>) =>
        callApi(server, 'GET', '/auth/me', { headers: { [HEADER]: asHeader(holder), ...headers } });
      expect((await me({})).json.error).toBe('no_auth');
      expect((await me({ authorization: `Bearer ${accessToken}` })).status).toBe(200);
    });

    it('may ask who it is, and is no visitor of the tool that has the certificate', async () => {
      const validate = (headers: Record<string, string>) =>
        sendRequest(server, 'POST', '/api/validate', { 'content-type': 'application/json', ...headers }, '{}');
      const holder = own.workload();
      const answer = await validate({ [HEADER]: asHeader(holder) });
      expect(answer.json).toEqual({
        valid: true,
        user: { id: ID, name: ID, email: null, role: 'viewer' },
        principal: { type: 'workload', spiffe_id: ID },
      });
      const { access_token: accessToken, accountId } = await createSignedInAccount(server);
      // A tool asks about its user. The tool's own certificate does not authenticate the user.
      const certified = { 'content-type': 'application/json', [HEADER]: asHeader(holder) };
      for (const tool of ['dealroom', '']) {
        const anonymous = await sendRequest(server, 'POST', '/api/validate', certified, JSON.stringify({ tool }));
        expect([anonymous.status, anonymous.json.error, anonymous.json.valid]).toEqual([401, 'no_auth', false]);
      }
      const visitor = await validate({ [HEADER]: asHeader(holder), authorization: `Bearer ${accessToken}` });
      expect(visitor.json).toMatchObject({ valid: true, user: { id: accountId } });
      for (const headers of [
        { [HEADER]: asHeader(stranger.workload()) },
        { [HEADER]: 'garbage' },
        { 'x-client-cert': asHeader(holder) },
      ] as Record<string, string>[])
        expect((await validate(headers)).json.valid).toBe(false);
    });

    it('is trusted by the bundle as it is now', async () => {
      const before = partner.workload();
      partner.renewAuthority();
      const after = partner.workload();
      expect([(await status([before])).status, (await status([after])).status]).toEqual([200, 401]);
      bundles.write(partner);
      ahead += 1500;
      expect([(await status([before])).status, (await status([after])).status]).toEqual([401, 200]);
      bundles.write({ name: partner.name, bundle: () => '{"keys":' });
      ahead += 1500;
      expect((await status([after])).status).toBe(200);
      expect(server.lines.join('\n')).toMatch(/partner\.com\.json cannot be used/);
    });
  });

  describe('as an OAuth client', () => {
    const asked = { grant_type: 'client_credentials' };
    const byToken = (
      svid: string,
      more: Record<string, string> = {},
      client: TestClient = { id: ID, secret: '' },
    ): Promise<TokenResponse> =>
      requestToken(server, client, { ...asked, client_assertion_type: JWT_SPIFFE, client_assertion: svid, ...more });
    const expectRefused = ({ status, body }: TokenResponse, what?: unknown) => {
      expect(body.access_token, String(what)).toBeUndefined();
      expect([400, 401], String(what)).toContain(status);
    };

    beforeAll(async () => {
      await workload({ spiffe_id: ID, token_endpoint_auth_method: 'spiffe_jwt' });
      await workload({ spiffe_id: 'spiffe://example.org/x509', token_endpoint_auth_method: 'spiffe_x509' });
    });

    it('finds in the metadata that it may come as it is', async () => {
      const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
      expect(json.token_endpoint_auth_methods_supported).toEqual(expect.arrayContaining(['spiffe_jwt', 'spiffe_x509']));
    });

    it('gets a token for its JWT-SVID, which names us or the token endpoint', async () => {
      for (const audience of [server.issuer, `${server.issuer}/api/v1/oauth/token`, [`${server.issuer}/oauth/token`]]) {
        const { status, body } = await byToken(await own.token(audience), {
          resource: `${server.issuer}/api/v1`,
          scope: 'memory:read',
        });
        expect(status, JSON.stringify(body)).toBe(200);
        const who = await callApi(server, 'GET', '/test-auth/auth-status', { token: body.access_token! });
        expect(who.json.principal).toEqual({ type: 'agent', id: ID });
      }
    });

    it('need not say its name beside the JWT-SVID, which may be used until it expires', async () => {
      const svid = await own.token(server.issuer, { jti: 'svid-1' });
      for (let time = 0; time < 2; time += 1) {
        const params = new URLSearchParams({ ...asked, client_assertion_type: JWT_SPIFFE, client_assertion: svid });
        const answer = await fetch(`${server.origin}/oauth/token`, { method: 'POST', body: params });
        expect(answer.status).toBe(200);
      }
    });

    it('is refused with a JWT-SVID that is not its own, not for us, not of now, or not signed', async () => {
      const now = Math.floor(Date.now() / 1000);
      const good = await own.token(server.issuer);
      const [header, payload] = good.split('.');
      const wrong = [
        own.token(server.issuer, { sub: 'spiffe://example.org/other' }),
        own.token(server.issuer, { sub: 'spiffe://example.org/x509' }),
        own.token('https://other.example'),
        own.token([server.issuer, 'https://other.example']),
        own.token(server.issuer, { exp: now - 10 }),
        own.token(server.issuer, {}, {}, partner.authority().privateKey),
        makeTrustDomain('example.org').token(server.issuer),
        partner.token(server.issuer, { sub: ID }),
        `${header}.${payload}.`,
        'garbage',
        'a.b.c',
      ];
      for (const [n, svid] of wrong.entries()) expectRefused(await byToken(await svid), n);
      expectRefused(await requestToken(server, { id: ID, secret: '' }, asked));
      expect((await byToken(good)).status).toBe(200);
    });

    it('is known by its JWT-SVID as such, never as a secret, nor is any other client', async () => {
      const svid = await own.token(server.issuer);
      expectRefused(await requestToken(server, { id: ID, secret: '' }, { ...asked, client_secret: svid }));
      expectRefused(await requestToken(server, { id: ID, secret: svid }, asked));
      expectRefused(
        await requestToken(
          server,
          { id: ID, secret: '' },
          { ...asked, client_secret: 'none: this client shows a JWT-SVID' },
        ),
      );
      expectRefused(await byToken(svid, { client_secret: svid }));
      expectRefused(await byToken(svid, {}, { id: ID, secret: 'x' }));
      const other = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
      expectRefused(await byToken(svid, {}, { id: other.id, secret: '' }));
      expectRefused(await byToken(other.secret, {}, { id: other.id, secret: '' }));
      const key = await makeKey();
      const jwks = { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] };
      const withKey = await server.client({
        grant_types: ['client_credentials'],
        redirect_uris: [],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks,
      });
      const proof = await assertion(key, withKey.id, server.issuer);
      expectRefused(await byToken(proof.client_assertion!, {}, { id: withKey.id, secret: '' }));
      expect((await requestToken(server, { id: withKey.id, secret: '' }, { ...asked, ...proof })).status).toBe(200);
    });

    it('gets a token for its certificate, if that is how it was registered', async () => {
      const id = 'spiffe://example.org/x509';
      const show = (holder: Holder, at: { origin: string } = server) =>
        requestToken(at, { id, secret: '' }, asked, { headers: { [HEADER]: asHeader(holder) } });
      expect((await show(own.workload('/x509'))).status).toBe(200);
      expectRefused(await show(own.workload('/other')));
      expectRefused(await show(issue(partner.authority(), { uris: [id] })));
      expectRefused(await show(own.workload('/x509'), bare));
      expectRefused(await byToken(await own.token(server.issuer, { sub: id }), {}, { id, secret: '' }));
      expectRefused(
        await requestToken(server, { id: ID, secret: '' }, asked, { headers: { [HEADER]: asHeader(own.workload()) } }),
      );
    });

    it('is made by an administrator only, once, and with a name that a workload can have', async () => {
      const again = workload({ spiffe_id: ID, token_endpoint_auth_method: 'spiffe_jwt' });
      await expect(again).rejects.toMatchObject({ status: 409 });
      for (const metadata of [
        { spiffe_id: 'spiffe://example.org', token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: 'https://example.org/api', token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: ['spiffe://example.org/a'], token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: 'spiffe://example.org/a' },
        { token_endpoint_auth_method: 'spiffe_x509' },
      ]) {
        await expect(workload(metadata)).rejects.toMatchObject({ status: 400 });
      }
      const name = 'spiffe://example.org/registered';
      for (const method of ['spiffe_jwt', 'spiffe_x509'])
        expect(
          (await requestRegistration(server, { token_endpoint_auth_method: method, spiffe_id: name })).status,
        ).toBe(400);
      const registered = await requestRegistration(server, { spiffe_id: name });
      expect([registered.status, registered.json.spiffe_id]).toEqual([201, undefined]);
      const id = String(registered.json.client_id);
      expectRefused(await byToken(await own.token(server.issuer, { sub: name }), {}, { id, secret: '' }));
    });
  });
});
