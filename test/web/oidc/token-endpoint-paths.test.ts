// The token endpoint has two paths. Proofs and assertions name one of them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertion, type ClientKey, dpop, makeKey, tokenWithProof } from '../../support/client-keys.js';
import { obtainCode, REDIRECT_URI, requestToken } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';

const PATHS = ['/api/v1/oauth/token', '/oauth/token'];
const CREDENTIALS = { grant_type: 'client_credentials' };

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const createMachine = (metadata: Record<string, unknown> = {}) =>
  server.client({ redirect_uris: [], grant_types: ['client_credentials'], ...metadata });
const createMachineWithKey = ({ publicJwk }: ClientKey) =>
  createMachine({
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...publicJwk, use: 'sig', alg: 'ES256' }] },
  });

describe.each(PATHS)('the token endpoint at %s', (path) => {
  const otherPath = PATHS.find((other) => other !== path)!;

  it('accepts a DPoP proof for this path only', async () => {
    const key = await makeKey();
    const machine = await createMachine();
    const { status, body } = await tokenWithProof(server, machine, key, CREDENTIALS, path);
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    for (const proof of [
      { htm: 'POST', htu: `${server.issuer}${otherPath}` },
      { htm: 'POST', htu: `https://evil.example${path}` },
      { htm: 'GET', htu: `${server.issuer}${path}` },
    ]) {
      const headers = { dpop: await dpop(key, proof) };
      const rejected = await requestToken(server, machine, CREDENTIALS, { path, headers });
      expect(rejected.body.error, JSON.stringify(proof)).toBe('invalid_dpop_proof');
    }
  });

  it('accepts a client assertion for this path and for the issuer', async () => {
    const key = await makeKey();
    const machine = await createMachineWithKey(key);
    for (const audience of [`${server.issuer}${path}`, server.issuer]) {
      const params = { ...CREDENTIALS, ...(await assertion(key, machine.id, audience)) };
      expect((await requestToken(server, machine, params, { path })).status, audience).toBe(200);
    }
  });

  it('rejects a client assertion for another audience or with another key', async () => {
    const key = await makeKey();
    const machine = await createMachineWithKey(key);
    for (const proof of [
      await assertion(key, machine.id, 'https://evil.example'),
      await assertion(await makeKey(), machine.id, server.issuer),
    ]) {
      const { body } = await requestToken(server, machine, { ...CREDENTIALS, ...proof }, { path });
      expect(body.error).toBe('invalid_client');
    }
  });

  it('rejects a code that was redeemed at the other path', async () => {
    const client = await server.client();
    const { code, verifier } = await obtainCode(server, client, (await server.account()).email);
    const params = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
    };
    expect((await requestToken(server, client, params, { path: otherPath })).status).toBe(200);
    expect((await requestToken(server, client, params, { path })).body.error).toBe('invalid_grant');
  });
});
