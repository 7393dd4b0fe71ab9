// The service on each runtime: SPIFFE workloads with a token, with a certificate from a proxy, or
// with a chain that the service verifies itself.
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningService, runtimes, startService } from '../support/runtimes.js';
import { asHeader, CLIENT_AUTH, issue, makeTrustDomain, SERVER_AUTH } from '../support/workloads.js';
import { openWorld, type World } from './runtime-world.js';

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

let world: World;
let settings: World['settings'];
const keys = new Map<string, CryptoKey>();
beforeAll(async () => {
  world = await openWorld();
  settings = structuredClone(world.settings);
  for (const alg of ALGORITHMS) {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    keys.set(alg, privateKey);
    settings.bundle.keys.push({ ...(await exportJWK(publicKey)), kid: alg, use: 'jwt-svid' });
  }
});
afterAll(() => world.close());

describe.each(runtimes)('a service for workloads on $name', (runtime) => {
  let running: RunningService;
  beforeAll(async () => {
    running = await startService(runtime, world.project.path, settings, world.hosts);
  });
  afterAll(async () => {
    expect(running.warnings()).toBe('');
    expect((await running.stop()).signal).not.toBe('SIGKILL');
  });

  const post = async (path: string, body: string, origin = running.service) =>
    (await fetch(origin + path, { method: 'POST', body })).json();

  it('identifies workloads by a token or by a certificate from a proxy', async () => {
    const { domain } = world;
    const id = `spiffe://${domain.name}/ns/shop/sa/api`;
    for (const [alg, key] of keys) {
      const sign = (aud: string) =>
        new SignJWT({ sub: id, aud })
          .setProtectedHeader({ alg, kid: alg, typ: 'JWT' })
          .setExpirationTime('1m')
          .sign(key);
      const token = await sign('tickets');
      expect((await post('/workload', token)).id, alg).toBe(id);
      expect((await post('/', token, running.svid)).kind, alg).toBe('valid');
      expect(await post('/workload', await sign('other'))).toBeNull();
    }
    const byProxy = (certificate: string) =>
      fetch(`${running.service}/own`, { headers: { 'x-client-cert': certificate } });
    const agent = { type: 'agent', via: 'workload', agentId: id, permissions: ['ticket:read'] };
    expect(await (await byProxy(asHeader(domain.workload()))).json()).toMatchObject(agent);
    const untrusted = makeTrustDomain('evil.example').workload();
    for (const other of [untrusted, domain.authority()]) expect((await byProxy(asHeader(other))).status).toBe(401);
  });

  it('verifies certificate chains if it terminates TLS itself', async () => {
    const { domain } = world;
    const kindOf = async (...chain: { pem: string }[]) => {
      const body = chain.map(({ pem }) => pem).join('');
      return (await post('/', body, running.svid)).kind;
    };
    const uris = [`spiffe://${domain.name}/a`];
    const intermediate = issue(domain.authority(), { commonName: 'Intermediate', isAuthority: true });
    const forClients = domain.workload('/a', { extendedKeyUsage: [CLIENT_AUTH] });
    for (const chain of [[domain.workload()], [forClients], [issue(intermediate, { uris }), intermediate]])
      expect(await kindOf(...chain)).toBe('valid');
    const namesake = makeTrustDomain(domain.name);
    for (const chain of [
      [namesake.workload()],
      [namesake.workload(), namesake.authority()],
      [issue(intermediate, { uris })],
      [issue(domain.workload(), { uris }), domain.workload()],
      [domain.workload('/a', { extendedKeyUsage: [SERVER_AUTH] })],
      [domain.workload('/a', { to: new Date(Date.now() - 1000) })],
    ])
      expect(await kindOf(...chain)).toBe('invalid');
  });
});
