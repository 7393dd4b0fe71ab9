// DPoP proofs contain the key that verifies them. oidc-provider gets only those that cost little.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { forgedProof, rsaKey } from '../../support/costly-credentials.js';
import type { TestClient } from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let client: TestClient;
beforeAll(async () => {
  server = await startServer();
  client = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
});
afterAll(() => server.close());

const BOUND = 'the RSA key of the proof can have at most 8192 bits, and an exponent of at most 32 bits';

it.each(['/oauth/token', '/api/v1/oauth/token'])('rejects a proof with a large exponent at %s', async (path) => {
  const dpop = forgedProof(rsaKey(3072, 3072), 'POST', `${server.issuer}${path}`);
  const { status, json } = await postForm(
    server,
    path,
    { grant_type: 'client_credentials' },
    { client, headers: { dpop } },
  );
  expect([status, json.error, json.error_description]).toEqual([400, 'invalid_dpop_proof', BOUND]);
});

it.each(['GET', 'POST'])('rejects a proof with a large exponent at userinfo (%s)', async (method) => {
  const dpop = forgedProof(rsaKey(3072, 3072), method, `${server.issuer}/oauth/userinfo`);
  const { status, json, headers } = await sendRequest(server, method, '/oauth/userinfo', {
    authorization: 'DPoP unknown',
    dpop,
  });
  expect([status, json.error, json.error_description]).toEqual([401, 'invalid_dpop_proof', BOUND]);
  expect(headers['www-authenticate']).toContain('error="invalid_dpop_proof"');
});

it('passes a proof with a usual key on', async () => {
  const dpop = forgedProof(rsaKey(2048), 'POST', `${server.issuer}/oauth/token`);
  const { json } = await postForm(
    server,
    '/oauth/token',
    { grant_type: 'client_credentials' },
    { client, headers: { dpop } },
  );
  expect([json.error, json.error_description]).toEqual(['invalid_dpop_proof', 'invalid DPoP key binding']);
});
