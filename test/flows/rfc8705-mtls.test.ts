// RFC 8705: clients that are known by their certificate, and tokens that are worth nothing without
// it. A proxy ends TLS and hands the certificate on in a header; the same header from anybody else
// is nothing.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateHash } from '../../src/kit/certificate.js';
import { obtainCode, requestToken, type TestClient } from '../support/relying-party.js';
import { callApi, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { temporaryFolder } from '../support/server-process.js';
import { asHeader, type CertificateRequest, issue, KEY_USE, makeAuthority, SERVER_AUTH } from '../support/workloads.js';

const HEADER = 'x-client-cert';
const CREDENTIALS = { grant_type: 'client_credentials' };
const HOUR_MS = 3_600_000;

describe('a client with a certificate', () => {
  const folder = temporaryFolder();
  const authority = makeAuthority();
  let server: TestServer;
  /** On the same store, where no proxy is trusted. */
  let bare: TestServer;
  let ownApi: string;
  let ahead = 0;

  beforeAll(async () => {
    const path = join(folder.path, 'authorities.pem');
    writeFileSync(path, authority.pem);
    const settings = { TEST_AUTH: 'true', TRUSTED_PROXIES: '127.0.0.1', CLIENT_CA_FILE: path };
    server = await startServer({ settings, clock: { now: () => new Date(Date.now() + ahead) } });
    bare = await startServer({ sharedWith: server, settings: { TEST_AUTH: 'true' } });
    ownApi = `${server.issuer}/api/v1`;
  });
  afterAll(async () => {
    await bare?.close();
    await server?.close();
    folder.remove();
  });

  const certificate = (more: CertificateRequest = {}, by = authority) =>
    issue(by, { commonName: 'billing', organization: 'Acme', dnsNames: ['billing.acme.example'], ...more });
  const machine = (metadata: Record<string, unknown>) =>
    server.client({ grant_types: ['client_credentials'], redirect_uris: [], ...metadata });
  const byCertificate = async (name: Record<string, string>): Promise<TestClient> => {
    const made = await machine({ token_endpoint_auth_method: 'tls_client_auth', ...name });
    return { ...made, secret: '' };
  };
  const tokenFor = (
    client: TestClient,
    header?: string,
    at: { origin: string } = server,
    more: Record<string, string> = {},
  ) =>
    requestToken(
      at,
      client,
      { ...CREDENTIALS, ...more },
      header === undefined ? {} : { headers: { [HEADER]: header } },
    );

  describe('that proves who it is (2.1)', () => {
    it('is told of it by the metadata, where certificates can come, and not where they cannot', async () => {
      const document = async (at: TestServer) =>
        (await sendRequest(at, 'GET', '/.well-known/openid-configuration')).json;
      expect((await document(server)).token_endpoint_auth_methods_supported).toContain('tls_client_auth');
      expect(await document(server)).toMatchObject({ tls_client_certificate_bound_access_tokens: true });
      const without = await document(bare);
      expect(without.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
      expect(without.tls_client_certificate_bound_access_tokens).toBeUndefined();
    });

    it.each<[string, Record<string, string>, CertificateRequest]>([
      ['its subject', { tls_client_auth_subject_dn: 'CN=billing,O=Acme' }, {}],
      ['a host name', { tls_client_auth_san_dns: 'billing.acme.example' }, {}],
      [
        'a URI',
        { tls_client_auth_san_uri: 'https://acme.example/billing' },
        { uris: ['https://acme.example/billing'] },
      ],
      ['an address', { tls_client_auth_san_ip: '10.1.2.3' }, { addresses: [[10, 1, 2, 3]] }],
      [
        'an e-mail address',
        { tls_client_auth_san_email: 'billing@acme.example' },
        { emails: ['billing@acme.example'] },
      ],
    ])('is known by %s', async (_what, name, request) => {
      const client = await byCertificate(name);
      expect((await tokenFor(client, asHeader(certificate(request)))).status).toBe(200);
      const other = certificate({
        commonName: 'mailing',
        dnsNames: ['mailing.acme.example'],
        uris: ['https://acme.example/mailing'],
        addresses: [[10, 1, 2, 4]],
        emails: ['mailing@acme.example'],
      });
      expect((await tokenFor(client, asHeader(other))).body.error).toBe('invalid_client');
    });

    it('may send its certificate as URL-encoded PEM, as DER, between colons, and with those in between', async () => {
      const client = await byCertificate({ tls_client_auth_san_dns: 'billing.acme.example' });
      const direct = certificate();
      const der = direct.certificate.raw.toString('base64');
      const between = issue(authority, { commonName: 'Between', isAuthority: true, keyUsage: [KEY_USE.keyCertSign] });
      for (const header of [asHeader(direct), der, `:${der}:`, asHeader(certificate({}, between), between)])
        expect((await tokenFor(client, header)).status, header.slice(0, 40)).toBe(200);
      expect((await tokenFor(client, asHeader(certificate({}, between)))).body.error).toBe('invalid_client');
    });

    it('is nobody without a certificate, with one that cannot be read, and with one for which nobody vouches', async () => {
      const client = await byCertificate({ tls_client_auth_san_dns: 'billing.acme.example' });
      const good = asHeader(certificate());
      const wrong = [
        undefined,
        '',
        'garbage',
        '%',
        '%ZZ',
        good.slice(0, 200),
        good.repeat(6),
        asHeader(certificate({}, makeAuthority())),
        asHeader(issue(undefined, { dnsNames: ['billing.acme.example'] })),
        asHeader(certificate({ to: new Date(Date.now() - 1000) })),
        asHeader(certificate({ from: new Date(Date.now() + HOUR_MS / 2) })),
        asHeader(certificate({ isAuthority: true })),
        asHeader(certificate({ extendedKeyUsage: [SERVER_AUTH] })),
        asHeader(certificate({ dnsNames: ['billing.acme.example.evil.example'] })),
        asHeader(certificate({ dnsNames: ['evil.example, DNS:billing.acme.example'] })),
      ];
      for (const header of wrong) {
        const { status, body } = await tokenFor(client, header);
        expect([status, body.error], header?.slice(0, 60)).toEqual([401, 'invalid_client']);
      }
      expect((await tokenFor(client, good)).status).toBe(200);
    });

    it('is not known by a certificate in place of a secret, nor by a secret in place of its certificate', async () => {
      const secretive = await machine({});
      expect((await tokenFor({ ...secretive, secret: '' }, asHeader(certificate()))).body.error).toBe('invalid_client');
      const client = await byCertificate({ tls_client_auth_san_dns: 'billing.acme.example' });
      const guessed = await tokenFor({ ...client, secret: 'guess' }, asHeader(certificate()));
      expect(guessed.body.error).toBe('invalid_client');
    });

    it('is trusted by the authorities of the file as it is now', async () => {
      const client = await byCertificate({ tls_client_auth_san_dns: 'billing.acme.example' });
      const path = join(folder.path, 'authorities.pem');
      const newer = makeAuthority('A newer authority');
      const ofNewer = asHeader(certificate({}, newer));
      expect((await tokenFor(client, ofNewer)).status).toBe(401);
      const expectAfterAWhile = async (header: string, status: number) => {
        ahead += 1500;
        expect((await tokenFor(client, header)).status).toBe(status);
      };
      writeFileSync(path, `${newer.pem}${authority.pem}`);
      await expectAfterAWhile(ofNewer, 200);
      writeFileSync(path, newer.pem);
      await expectAfterAWhile(asHeader(certificate()), 401);
      for (const spoil of [() => writeFileSync(path, 'garbage'), () => rmSync(path)]) {
        spoil();
        await expectAfterAWhile(ofNewer, 200); // what it held before stays
        expect(server.lines.join('\n')).toMatch(/"level":"error".*what it held before stays/);
      }
      writeFileSync(path, authority.pem);
      await expectAfterAWhile(asHeader(certificate()), 200);
    });
  });

  describe('whose tokens are bound to it (3)', () => {
    const BOUND = { tls_client_certificate_bound_access_tokens: true };
    const status = (accessToken: string, headers: Record<string, string> = {}, at: TestServer = server) =>
      callApi(at, 'GET', '/test-auth/auth-status', { token: accessToken, headers });

    it('gets tokens that our API takes with this very certificate only', async () => {
      const client = await machine(BOUND);
      const holder = certificate();
      const asked = { resource: ownApi, scope: 'memory:read' };
      expect((await tokenFor(client, undefined, server, asked)).body.error).toBe('invalid_grant');
      const { body } = await tokenFor(client, asHeader(holder), server, asked);
      const accessToken = body.access_token!;
      expect(decodeJwt(accessToken).cnf).toEqual({ 'x5t#S256': certificateHash(holder.certificate) });

      const mine = { [HEADER]: asHeader(holder) };
      expect((await status(accessToken, mine)).json).toMatchObject({ principal: { type: 'agent', id: client.id } });
      for (const headers of [
        {},
        { [HEADER]: asHeader(certificate()) },
        { [HEADER]: 'garbage' },
        { [HEADER]: `${asHeader(certificate())}${asHeader(holder)}` },
      ]) {
        const refused = await status(accessToken, headers as Record<string, string>);
        expect([refused.status, refused.json.error]).toEqual([401, 'invalid_token']);
      }
      expect((await status(accessToken, mine)).status).toBe(200);
    });

    it('gets tokens that are valid to tools with this very certificate only, whichever way they ask', async () => {
      const client = await machine({ ...BOUND, scope: 'tools:validate' });
      const holder = certificate();
      const asked = { resource: ownApi, scope: 'tools:validate' };
      const { body } = await tokenFor(client, asHeader(holder), server, asked);
      const authorization = `Bearer ${body.access_token!}`;
      const statuses: number[] = [];
      for (const path of ['/api/validate', '/api/validate?long'])
        for (const shown of [asHeader(holder), asHeader(certificate()), undefined]) {
          const headers: Record<string, string> = shown ? { authorization, [HEADER]: shown } : { authorization };
          statuses.push((await sendRequest(server, 'POST', path, headers)).status);
        }
      expect(statuses).toEqual([200, 401, 401, 200, 401, 401]);
    });

    it('does not believe a header of somebody who is no trusted proxy', async () => {
      const client = await machine(BOUND);
      const holder = certificate();
      const forged = { [HEADER]: asHeader(holder) };
      const { body } = await tokenFor(client, forged[HEADER], server, { resource: ownApi, scope: 'memory:read' });
      expect((await status(body.access_token!, forged)).status).toBe(200);
      expect((await status(body.access_token!, forged, bare)).status).toBe(401);
      const known = await byCertificate({ tls_client_auth_san_dns: 'billing.acme.example' });
      expect((await tokenFor(known, forged[HEADER], bare)).status).not.toBe(200);
    });

    it('shows its certificate at userinfo and for each refresh', async () => {
      const client = await server.client({ ...BOUND, token_endpoint_auth_method: 'none' });
      const account = await server.account();
      const holder = certificate();
      const mine = { headers: { [HEADER]: asHeader(holder) } };
      const obtained = await obtainCode(server, client, account.email);
      const { code, verifier } = obtained;
      const params = {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: 'https://acme.example/cb',
      };
      const { body } = await requestToken(server, client, params, mine);
      const userinfo = (headers: Record<string, string>) =>
        sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${body.access_token}`, ...headers });
      expect((await userinfo(mine.headers)).json.sub).toBe(account.id);
      for (const headers of [{}, { [HEADER]: asHeader(certificate()) }])
        expect((await userinfo(headers as Record<string, string>)).status).toBe(401);
      const renewal = { grant_type: 'refresh_token', refresh_token: body.refresh_token! };
      expect((await requestToken(server, client, renewal)).status).toBe(400);
      expect(
        (await requestToken(server, client, renewal, { headers: { [HEADER]: asHeader(certificate()) } })).status,
      ).toBe(400);
      expect((await requestToken(server, client, renewal, mine)).status).toBe(200);
    });
  });
});
