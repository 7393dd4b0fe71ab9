// Client authentication with certificates, and certificate-bound tokens (RFC 8705). A trusted proxy
// terminates TLS and passes the certificate in a header, which is ignored from other peers.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateHash } from '../../src/kit/certificate.js';
import { movableClock } from '../support/movable-clock.js';
import { obtainCode, requestToken, type TestClient } from '../support/relying-party.js';
import { callApi, sendRequest, type Target } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { temporaryFolder } from '../support/server-process.js';
import { asHeader, type CertificateRequest, issue, KEY_USE, makeAuthority, SERVER_AUTH } from '../support/workloads.js';

const HEADER = 'x-client-cert';
const CREDENTIALS = { grant_type: 'client_credentials' };
const HOUR_MS = 3_600_000;

describe('a client with a certificate (RFC 8705)', () => {
  const folder = temporaryFolder();
  const authority = makeAuthority();
  let server: TestServer;
  /** A server on the same store that trusts no proxy. */
  let withoutProxy: TestServer;
  let ownApi: string;
  const { clock, advance } = movableClock();

  beforeAll(async () => {
    const path = join(folder.path, 'authorities.pem');
    writeFileSync(path, authority.pem);
    const settings = { TEST_AUTH: 'true', TRUSTED_PROXIES: '127.0.0.1', CLIENT_CA_FILE: path };
    server = await startServer({ settings, clock });
    withoutProxy = await startServer({ sharedWith: server, settings: { TEST_AUTH: 'true' } });
    ownApi = `${server.issuer}/api/v1`;
  });
  afterAll(async () => {
    await withoutProxy?.close();
    await server?.close();
    folder.remove();
  });

  const issueCertificate = (more: CertificateRequest = {}, issuer = authority) =>
    issue(issuer, { commonName: 'billing', organization: 'Acme', dnsNames: ['billing.acme.example'], ...more });
  const createMachineClient = (metadata: Record<string, unknown>) =>
    server.client({ grant_types: ['client_credentials'], redirect_uris: [], ...metadata });
  const createTlsClient = async (name: Record<string, string>): Promise<TestClient> => {
    const created = await createMachineClient({ token_endpoint_auth_method: 'tls_client_auth', ...name });
    return { ...created, secret: '' };
  };
  const tokenFor = (client: TestClient, header?: string, target: Target = server, more: Record<string, string> = {}) =>
    requestToken(
      target,
      client,
      { ...CREDENTIALS, ...more },
      header === undefined ? {} : { headers: { [HEADER]: header } },
    );

  describe('authentication (section 2.1)', () => {
    it('finds the method in the metadata of a server that can receive certificates', async () => {
      const fetchMetadata = async (target: Target) =>
        (await sendRequest(target, 'GET', '/.well-known/openid-configuration')).json;
      expect((await fetchMetadata(server)).token_endpoint_auth_methods_supported).toContain('tls_client_auth');
      expect(await fetchMetadata(server)).toMatchObject({ tls_client_certificate_bound_access_tokens: true });
      const metadata = await fetchMetadata(withoutProxy);
      expect(metadata.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
      expect(metadata.tls_client_certificate_bound_access_tokens).toBeUndefined();
    });

    it.each<[string, Record<string, string>, CertificateRequest]>([
      ['its subject DN', { tls_client_auth_subject_dn: 'CN=billing,O=Acme' }, {}],
      ['a DNS name', { tls_client_auth_san_dns: 'billing.acme.example' }, {}],
      [
        'a URI',
        { tls_client_auth_san_uri: 'https://acme.example/billing' },
        { uris: ['https://acme.example/billing'] },
      ],
      ['an IP address', { tls_client_auth_san_ip: '10.1.2.3' }, { addresses: [[10, 1, 2, 3]] }],
      [
        'an e-mail address',
        { tls_client_auth_san_email: 'billing@acme.example' },
        { emails: ['billing@acme.example'] },
      ],
    ])('is identified by %s', async (_case, name, request) => {
      const client = await createTlsClient(name);
      expect((await tokenFor(client, asHeader(issueCertificate(request)))).status).toBe(200);
      const other = issueCertificate({
        commonName: 'mailing',
        dnsNames: ['mailing.acme.example'],
        uris: ['https://acme.example/mailing'],
        addresses: [[10, 1, 2, 4]],
        emails: ['mailing@acme.example'],
      });
      expect((await tokenFor(client, asHeader(other))).body.error).toBe('invalid_client');
    });

    it('can send its certificate as URL-encoded PEM, as DER, between colons, and with intermediate certificates', async () => {
      const client = await createTlsClient({ tls_client_auth_san_dns: 'billing.acme.example' });
      const direct = issueCertificate();
      const der = direct.certificate.raw.toString('base64');
      const intermediate = issue(authority, {
        commonName: 'Intermediate',
        isAuthority: true,
        keyUsage: [KEY_USE.keyCertSign],
      });
      for (const header of [
        asHeader(direct),
        der,
        `:${der}:`,
        asHeader(issueCertificate({}, intermediate), intermediate),
      ])
        expect((await tokenFor(client, header)).status, header.slice(0, 40)).toBe(200);
      expect((await tokenFor(client, asHeader(issueCertificate({}, intermediate)))).body.error).toBe('invalid_client');
    });

    it('is rejected without a certificate, and with a malformed, expired or untrusted one', async () => {
      const client = await createTlsClient({ tls_client_auth_san_dns: 'billing.acme.example' });
      const valid = asHeader(issueCertificate());
      const forServers = issue(authority, {
        commonName: 'For servers',
        isAuthority: true,
        extendedKeyUsage: [SERVER_AUTH],
      });
      const invalid = [
        undefined,
        '',
        'garbage',
        '%',
        '%ZZ',
        valid.slice(0, 200),
        valid.repeat(6),
        asHeader(issueCertificate({}, makeAuthority())),
        asHeader(issue(undefined, { dnsNames: ['billing.acme.example'] })),
        asHeader(issueCertificate({ to: new Date(Date.now() - 1000) })),
        asHeader(issueCertificate({ from: new Date(Date.now() + HOUR_MS / 2) })),
        asHeader(issueCertificate({ isAuthority: true })),
        asHeader(issueCertificate({ extendedKeyUsage: [SERVER_AUTH] })),
        asHeader(issueCertificate({}, forServers), forServers),
        asHeader(issueCertificate({ dnsNames: ['billing.acme.example.evil.example'] })),
        asHeader(issueCertificate({ dnsNames: ['evil.example, DNS:billing.acme.example'] })),
      ];
      for (const header of invalid) {
        const { status, body } = await tokenFor(client, header);
        expect([status, body.error], header?.slice(0, 60)).toEqual([401, 'invalid_client']);
      }
      expect((await tokenFor(client, valid)).status).toBe(200);
    });

    it('cannot replace a secret with a certificate, or a certificate with a secret', async () => {
      const secretClient = await createMachineClient({});
      expect((await tokenFor({ ...secretClient, secret: '' }, asHeader(issueCertificate()))).body.error).toBe(
        'invalid_client',
      );
      const client = await createTlsClient({ tls_client_auth_san_dns: 'billing.acme.example' });
      const withSecret = await tokenFor({ ...client, secret: 'guess' }, asHeader(issueCertificate()));
      expect(withSecret.body.error).toBe('invalid_client');
    });

    it('is verified with the current certificates of the file of authorities', async () => {
      const client = await createTlsClient({ tls_client_auth_san_dns: 'billing.acme.example' });
      const path = join(folder.path, 'authorities.pem');
      const newAuthority = makeAuthority('A new authority');
      const newCertificate = asHeader(issueCertificate({}, newAuthority));
      expect((await tokenFor(client, newCertificate)).status).toBe(401);
      const expectAfterReload = async (header: string, status: number) => {
        advance(1500);
        expect((await tokenFor(client, header)).status).toBe(status);
      };
      writeFileSync(path, `${newAuthority.pem}${authority.pem}`);
      await expectAfterReload(newCertificate, 200);
      writeFileSync(path, newAuthority.pem);
      await expectAfterReload(asHeader(issueCertificate()), 401);
      for (const damage of [() => writeFileSync(path, 'garbage'), () => rmSync(path)]) {
        damage();
        await expectAfterReload(newCertificate, 200); // the last valid content stays
        expect(server.lines.join('\n')).toMatch(/"level":"error".*its previous content stays in use/);
      }
      writeFileSync(path, authority.pem);
      await expectAfterReload(asHeader(issueCertificate()), 200);
    });
  });

  describe('certificate-bound tokens (section 3)', () => {
    const BOUND = { tls_client_certificate_bound_access_tokens: true };
    const requestStatus = (accessToken: string, headers: Record<string, string> = {}, target: Target = server) =>
      callApi(target, 'GET', '/test-auth/auth-status', { token: accessToken, headers });

    it('gets tokens that the JSON API accepts only with this certificate', async () => {
      const client = await createMachineClient(BOUND);
      const holder = issueCertificate();
      const params = { resource: ownApi, scope: 'memory:read' };
      expect((await tokenFor(client, undefined, server, params)).body.error).toBe('invalid_grant');
      const { body } = await tokenFor(client, asHeader(holder), server, params);
      const accessToken = body.access_token!;
      expect(decodeJwt(accessToken).cnf).toEqual({ 'x5t#S256': certificateHash(holder.certificate) });

      const own = { [HEADER]: asHeader(holder) };
      expect((await requestStatus(accessToken, own)).json).toMatchObject({
        principal: { type: 'agent', id: client.id },
      });
      for (const headers of [
        {},
        { [HEADER]: asHeader(issueCertificate()) },
        { [HEADER]: 'garbage' },
        { [HEADER]: `${asHeader(issueCertificate())}${asHeader(holder)}` },
      ]) {
        const rejected = await requestStatus(accessToken, headers as Record<string, string>);
        expect([rejected.status, rejected.json.error]).toEqual([401, 'invalid_token']);
      }
      expect((await requestStatus(accessToken, own)).status).toBe(200);
    });

    it('gets tokens that the tools API reports as valid only with this certificate', async () => {
      const client = await createMachineClient({ ...BOUND, scope: 'tools:validate' });
      const holder = issueCertificate();
      const params = { resource: ownApi, scope: 'tools:validate' };
      const { body } = await tokenFor(client, asHeader(holder), server, params);
      const authorization = `Bearer ${body.access_token!}`;
      const statuses: number[] = [];
      for (const path of ['/api/validate', '/api/validate?long'])
        for (const header of [asHeader(holder), asHeader(issueCertificate()), undefined]) {
          const headers: Record<string, string> = header ? { authorization, [HEADER]: header } : { authorization };
          statuses.push((await sendRequest(server, 'POST', path, headers)).status);
        }
      expect(statuses).toEqual([200, 401, 401, 200, 401, 401]);
    });

    it('cannot pass a certificate through a peer that is not a trusted proxy', async () => {
      const client = await createMachineClient(BOUND);
      const holder = issueCertificate();
      const own = { [HEADER]: asHeader(holder) };
      const { body } = await tokenFor(client, own[HEADER], server, { resource: ownApi, scope: 'memory:read' });
      expect((await requestStatus(body.access_token!, own)).status).toBe(200);
      expect((await requestStatus(body.access_token!, own, withoutProxy)).status).toBe(401);
      const tlsClient = await createTlsClient({ tls_client_auth_san_dns: 'billing.acme.example' });
      expect((await tokenFor(tlsClient, own[HEADER], withoutProxy)).status).not.toBe(200);
    });

    it('needs its certificate at userinfo and for each refresh', async () => {
      const client = await server.client({ ...BOUND, token_endpoint_auth_method: 'none' });
      const account = await server.account();
      const holder = issueCertificate();
      const withCertificate = { headers: { [HEADER]: asHeader(holder) } };
      const { code, verifier } = await obtainCode(server, client, account.email);
      const params = {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: 'https://acme.example/cb',
      };
      const { body } = await requestToken(server, client, params, withCertificate);
      const userinfo = (headers: Record<string, string>) =>
        sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${body.access_token}`, ...headers });
      expect((await userinfo(withCertificate.headers)).json.sub).toBe(account.id);
      for (const headers of [{}, { [HEADER]: asHeader(issueCertificate()) }])
        expect((await userinfo(headers as Record<string, string>)).status).toBe(401);
      const renewal = { grant_type: 'refresh_token', refresh_token: body.refresh_token! };
      expect((await requestToken(server, client, renewal)).status).toBe(400);
      expect(
        (await requestToken(server, client, renewal, { headers: { [HEADER]: asHeader(issueCertificate()) } })).status,
      ).toBe(400);
      expect((await requestToken(server, client, renewal, withCertificate)).status).toBe(200);
    });
  });
});
