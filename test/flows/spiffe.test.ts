// SPIFFE workloads: they authenticate at the JSON API with their certificate (X.509-SVID), and as
// OAuth clients with their certificate or token (JWT-SVID).

import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { createSignedInAccount } from '../support/api.js';
import { assertion, makeKey } from '../support/client-keys.js';
import { movableClock } from '../support/movable-clock.js';
import { requestRegistration } from '../support/registration.js';
import { requestToken, type TestClient, type TokenResponse } from '../support/relying-party.js';
import { callApi, postForm, sendRequest, type Target } from '../support/request.js';
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
/** The value in place of a secret, from src/web/oidc/storage/spiffe-client.ts. */
const PLACEHOLDER_SECRET = 'none: this client authenticates with a JWT-SVID';
const JWT_SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

describe('a workload', () => {
  const own = makeTrustDomain('example.org');
  const partner = makeTrustDomain('partner.com');
  const untrusted = makeTrustDomain('untrusted.example');
  const bundles = makeBundleFolder(own, partner);
  let server: TestServer;
  /** A server on the same store that trusts no proxy. */
  let withoutProxy: TestServer;
  const { clock, advance } = movableClock();

  beforeAll(async () => {
    const spiffe = {
      TEST_AUTH: 'true',
      CLIENT_CERT_HEADER: 'X-SVID',
      SPIFFE_TRUST_DOMAIN: 'example.org',
      SPIFFE_TRUSTED_DOMAINS: 'example.org, partner.com',
      SPIFFE_BUNDLES: bundles.folder,
    };
    server = await startServer({ settings: { ...spiffe, TRUSTED_PROXIES: '127.0.0.1' }, clock });
    withoutProxy = await startServer({ sharedWith: server, settings: spiffe });
  });
  afterAll(async () => {
    await withoutProxy?.close();
    await server?.close();
    rmSync(bundles.folder, { recursive: true, force: true });
  });

  const createWorkloadClient = (metadata: Record<string, unknown>) =>
    server.core.clients.create(
      { metadata: { client_name: 'Shop', grant_types: ['client_credentials'], ...metadata } },
      systemMeta,
    );

  describe('with a certificate at the JSON API', () => {
    const requestStatus = (chain: Holder[], headers: Record<string, string> = {}, target: Target = server) =>
      callApi(target, 'GET', '/test-auth/auth-status', {
        headers: { ...(chain.length > 0 && { [HEADER]: asHeader(...chain) }), ...headers },
      });

    it('is an agent with its SPIFFE ID, in each trusted domain', async () => {
      for (const domain of [own, partner]) {
        const response = await requestStatus([domain.workload('/api')]);
        expect(response.json).toEqual({
          authenticated: true,
          principal: { type: 'agent', id: `spiffe://${domain.name}/api` },
        });
      }
    });

    it('is rejected when no authority of its trust domain signed the certificate', async () => {
      const forged = issue(makeAuthority('Authority of example.org'), { uris: [ID] });
      for (const chain of [
        [untrusted.workload()],
        [forged],
        [issue(partner.authority(), { uris: [ID] })],
        [own.workload('/api', { to: new Date(Date.now() - 1000) })],
      ]) {
        const response = await requestStatus(chain);
        expect([response.status, response.json.error]).toEqual([401, 'invalid_token']);
      }
    });

    it('stays anonymous when the header comes from an untrusted peer or has another name', async () => {
      const anonymous = { authenticated: false, principal: { type: 'anonymous' } };
      const holder = own.workload();
      expect((await requestStatus([holder], {}, withoutProxy)).json).toEqual(anonymous);
      expect((await requestStatus([], { 'x-client-cert': asHeader(holder) })).json).toEqual(anonymous);
    });

    it('is identified only if the request has no other credential and the endpoint accepts workloads', async () => {
      const { access_token: accessToken, accountId } = await createSignedInAccount(server);
      const user = { authenticated: true, principal: { type: 'human', id: accountId } };
      const holder = own.workload();
      for (const headers of [
        { authorization: `Bearer ${accessToken}` },
        { cookie: `cap_access=${accessToken}` },
      ] as Record<string, string>[])
        expect((await requestStatus([holder], headers)).json).toEqual(user);
      expect((await requestStatus([holder], { authorization: 'Bearer nonsense' })).status).toBe(401);
      // A certificate without a SPIFFE ID, and an endpoint that does not accept workloads.
      expect(
        (await requestStatus([issue(own.authority(), { dnsNames: ['api.example.org'] })])).json.authenticated,
      ).toBe(false);
      const me = (headers: Record<string, string>) =>
        callApi(server, 'GET', '/auth/me', { headers: { [HEADER]: asHeader(holder), ...headers } });
      expect((await me({})).json.error).toBe('no_auth');
      expect((await me({ authorization: `Bearer ${accessToken}` })).status).toBe(200);
    });

    it('can validate itself at the tools API, but is not the user of a tool', async () => {
      const validate = (headers: Record<string, string>) =>
        sendRequest(server, 'POST', '/api/validate', { 'content-type': 'application/json', ...headers }, '{}');
      const holder = own.workload();
      const response = await validate({ [HEADER]: asHeader(holder) });
      expect(response.json).toEqual({
        valid: true,
        user: { id: ID, name: ID, email: null, role: 'viewer' },
        principal: { type: 'workload', spiffe_id: ID },
      });
      const { access_token: accessToken, accountId } = await createSignedInAccount(server);
      // The certificate of a tool does not authenticate the tool's user.
      const toolHeaders = { 'content-type': 'application/json', [HEADER]: asHeader(holder) };
      for (const tool of ['dealroom', '']) {
        const anonymous = await sendRequest(server, 'POST', '/api/validate', toolHeaders, JSON.stringify({ tool }));
        expect([anonymous.status, anonymous.json.error, anonymous.json.valid]).toEqual([401, 'no_auth', false]);
      }
      const withToken = await validate({ [HEADER]: asHeader(holder), authorization: `Bearer ${accessToken}` });
      expect(withToken.json).toMatchObject({ valid: true, user: { id: accountId } });
      for (const headers of [
        { [HEADER]: asHeader(untrusted.workload()) },
        { [HEADER]: 'garbage' },
        { 'x-client-cert': asHeader(holder) },
      ] as Record<string, string>[])
        expect((await validate(headers)).json.valid).toBe(false);
    });

    it('is verified with the current bundle of its trust domain', async () => {
      const before = partner.workload();
      partner.renewAuthority();
      const after = partner.workload();
      expect([(await requestStatus([before])).status, (await requestStatus([after])).status]).toEqual([200, 401]);
      bundles.write(partner);
      advance(1500);
      expect([(await requestStatus([before])).status, (await requestStatus([after])).status]).toEqual([401, 200]);
      bundles.write({ name: partner.name, bundle: () => '{"keys":' });
      advance(1500);
      expect((await requestStatus([after])).status).toBe(200);
      expect(server.lines.join('\n')).toMatch(/partner\.com\.json cannot be used/);
    });
  });

  describe('as an OAuth client', () => {
    const grant = { grant_type: 'client_credentials' };
    const requestWithSvid = (
      svid: string,
      more: Record<string, string> = {},
      client: TestClient = { id: ID, secret: '' },
    ): Promise<TokenResponse> =>
      requestToken(server, client, { ...grant, client_assertion_type: JWT_SPIFFE, client_assertion: svid, ...more });
    const expectRejected = ({ status, body }: TokenResponse, label?: unknown) => {
      expect(body.access_token, String(label)).toBeUndefined();
      expect([400, 401], String(label)).toContain(status);
    };

    beforeAll(async () => {
      await createWorkloadClient({ spiffe_id: ID, token_endpoint_auth_method: 'spiffe_jwt' });
      await createWorkloadClient({ spiffe_id: 'spiffe://example.org/x509', token_endpoint_auth_method: 'spiffe_x509' });
    });

    it('finds its authentication methods in the metadata', async () => {
      const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
      expect(json.token_endpoint_auth_methods_supported).toEqual(expect.arrayContaining(['spiffe_jwt', 'spiffe_x509']));
    });

    it('gets a token with a JWT-SVID whose audience is the issuer or a token endpoint', async () => {
      for (const audience of [server.issuer, `${server.issuer}/api/v1/oauth/token`, [`${server.issuer}/oauth/token`]]) {
        const { status, body } = await requestWithSvid(await own.token(audience), {
          resource: `${server.issuer}/api/v1`,
          scope: 'memory:read',
        });
        expect(status, JSON.stringify(body)).toBe(200);
        const response = await callApi(server, 'GET', '/test-auth/auth-status', { token: body.access_token! });
        expect(response.json.principal).toEqual({ type: 'agent', id: ID });
      }
    });

    it('needs no client_id in addition to the JWT-SVID, which can be reused until it expires', async () => {
      const svid = await own.token(server.issuer, { jti: 'svid-1' });
      for (let time = 0; time < 2; time += 1) {
        const params = { ...grant, client_assertion_type: JWT_SPIFFE, client_assertion: svid };
        expect((await postForm(server, '/oauth/token', params)).status).toBe(200);
      }
    });

    it('cannot use a JWT-SVID of another subject or audience, an expired one, or an unsigned one', async () => {
      const now = Math.floor(Date.now() / 1000);
      const valid = await own.token(server.issuer);
      const [header, payload] = valid.split('.');
      const invalid = [
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
      for (const [n, svid] of invalid.entries()) expectRejected(await requestWithSvid(await svid), n);
      expectRejected(await requestToken(server, { id: ID, secret: '' }, grant));
      expect((await requestWithSvid(valid)).status).toBe(200);
    });

    it('cannot use a JWT-SVID as a secret, and other clients cannot use one at all', async () => {
      const svid = await own.token(server.issuer);
      expectRejected(await requestToken(server, { id: ID, secret: '' }, { ...grant, client_secret: svid }));
      expectRejected(await requestToken(server, { id: ID, secret: svid }, grant));
      expectRejected(
        await requestToken(server, { id: ID, secret: '' }, { ...grant, client_secret: PLACEHOLDER_SECRET }),
      );
      expectRejected(await requestWithSvid(svid, { client_secret: svid }));
      expectRejected(await requestWithSvid(svid, {}, { id: ID, secret: 'x' }));
      const other = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
      expectRejected(await requestWithSvid(svid, {}, { id: other.id, secret: '' }));
      expectRejected(await requestWithSvid(other.secret, {}, { id: other.id, secret: '' }));
      const key = await makeKey();
      const jwks = { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] };
      const withKey = await server.client({
        grant_types: ['client_credentials'],
        redirect_uris: [],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks,
      });
      const proof = await assertion(key, withKey.id, server.issuer);
      expectRejected(await requestWithSvid(proof.client_assertion!, {}, { id: withKey.id, secret: '' }));
      expect((await requestToken(server, { id: withKey.id, secret: '' }, { ...grant, ...proof })).status).toBe(200);
    });

    it('gets a token with its certificate only if it is registered for certificates', async () => {
      const id = 'spiffe://example.org/x509';
      const requestWithCertificate = (holder: Holder, target: Target = server) =>
        requestToken(target, { id, secret: '' }, grant, { headers: { [HEADER]: asHeader(holder) } });
      expect((await requestWithCertificate(own.workload('/x509'))).status).toBe(200);
      expectRejected(await requestWithCertificate(own.workload('/other')));
      expectRejected(await requestWithCertificate(issue(partner.authority(), { uris: [id] })));
      expectRejected(await requestWithCertificate(own.workload('/x509'), withoutProxy));
      expectRejected(await requestWithSvid(await own.token(server.issuer, { sub: id }), {}, { id, secret: '' }));
      expectRejected(
        await requestToken(server, { id: ID, secret: '' }, grant, { headers: { [HEADER]: asHeader(own.workload()) } }),
      );
    });

    it('is created only by administrators, once, with the SPIFFE ID of a workload', async () => {
      const duplicate = createWorkloadClient({ spiffe_id: ID, token_endpoint_auth_method: 'spiffe_jwt' });
      await expect(duplicate).rejects.toMatchObject({ status: 409 });
      for (const metadata of [
        { spiffe_id: 'spiffe://example.org', token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: 'https://example.org/api', token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: ['spiffe://example.org/a'], token_endpoint_auth_method: 'spiffe_jwt' },
        { spiffe_id: 'spiffe://example.org/a' },
        { token_endpoint_auth_method: 'spiffe_x509' },
      ]) {
        await expect(createWorkloadClient(metadata)).rejects.toMatchObject({ status: 400 });
      }
      const name = 'spiffe://example.org/registered';
      for (const method of ['spiffe_jwt', 'spiffe_x509'])
        expect(
          (await requestRegistration(server, { token_endpoint_auth_method: method, spiffe_id: name })).status,
        ).toBe(400);
      const registered = await requestRegistration(server, { spiffe_id: name });
      expect([registered.status, registered.json.spiffe_id]).toEqual([201, undefined]);
      const id = String(registered.json.client_id);
      expectRejected(await requestWithSvid(await own.token(server.issuer, { sub: name }), {}, { id, secret: '' }));
    });
  });
});
