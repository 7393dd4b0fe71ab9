// A server without a TLS proxy: client certificates come from the handshake, never from a header.
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ServerProcess, startServerProcess, temporaryFolder } from './support/server-process.js';
import { asHeader, type Holder, issue, makeBundleFolder, makeTrustDomain } from './support/workloads.js';

describe('a server with its own certificate', () => {
  const folder = temporaryFolder();
  const domain = makeTrustDomain('example.org');
  const bundles = makeBundleFolder(domain);
  let server: ServerProcess;

  const file = (name: string, text: string | Buffer) => {
    const path = join(folder.path, name);
    writeFileSync(path, text);
    return path;
  };
  const keyOf = (holder: Holder) => holder.privateKey.export({ type: 'pkcs8', format: 'pem' });

  beforeAll(async () => {
    const own = issue(undefined, { commonName: 'localhost', dnsNames: ['localhost'] });
    server = await startServerProcess({
      PORT: '0',
      ISSUER: 'https://localhost:0',
      DATA_DIR: folder.path,
      TEST_AUTH: 'true',
      TLS_CERT_FILE: file('cert.pem', own.pem),
      TLS_KEY_FILE: file('key.pem', keyOf(own)),
      SPIFFE_TRUST_DOMAIN: domain.name,
      SPIFFE_BUNDLES: bundles.folder,
    });
  });
  afterAll(async () => {
    server?.kill('SIGTERM');
    await server?.ended;
    folder.remove();
    rmSync(bundles.folder, { recursive: true, force: true });
  });

  function get(
    path: string,
    chain: Holder[] = [],
    headers: Record<string, string> = {},
  ): Promise<Record<string, unknown>> {
    const { port } = new URL(server.origin);
    const [holder] = chain;
    const certificate = holder && { cert: chain.map(({ pem }) => pem).join(''), key: keyOf(holder) };
    const options = { host: 'localhost', port, path, headers, rejectUnauthorized: false, agent: false, ...certificate };
    return new Promise((resolve, reject) => {
      request(options as never, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(JSON.parse(text)));
      })
        .on('error', reject)
        .end();
    });
  }
  const status = (chain: Holder[] = [], headers: Record<string, string> = {}) =>
    get('/api/v1/test-auth/auth-status', chain, headers);

  it('identifies a workload by its handshake, and never by a header', async () => {
    const anonymous = { authenticated: false, principal: { type: 'anonymous' } };
    const holder = domain.workload('/api');
    const known = { authenticated: true, principal: { type: 'agent', id: 'spiffe://example.org/api' } };
    expect(await status([holder])).toEqual(known);
    const intermediate = issue(domain.authority(), { commonName: 'Intermediate', isAuthority: true });
    const leaf = issue(intermediate, { uris: ['spiffe://example.org/api'] });
    expect(await status([leaf, intermediate])).toEqual(known);
    expect(await status([leaf])).toMatchObject({ error: 'invalid_token' });
    expect(await status([issue(undefined, { uris: ['spiffe://example.org/api'] })])).toMatchObject({
      error: 'invalid_token',
    });
    expect(await status()).toEqual(anonymous);
    expect(await status([], { 'x-client-cert': asHeader(holder), 'x-request-id': randomUUID() })).toEqual(anonymous);
  });

  it('announces mutual TLS in the discovery document', async () => {
    const { token_endpoint_auth_methods_supported: methods } = await get('/.well-known/openid-configuration');
    expect(methods).toEqual(expect.arrayContaining(['tls_client_auth', 'spiffe_jwt', 'spiffe_x509']));
  });
});
