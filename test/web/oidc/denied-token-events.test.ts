// Audit events of denied token requests: an app that registered itself cannot fill the audit log.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { registerDynamically } from '../../support/registration.js';
import { requestToken } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

it.each([
  ['a public client', { token_endpoint_auth_method: 'none' }],
  ['a client with a secret', {}],
])('combines the events of %s that registered itself, with their number', async (_, metadata) => {
  const client = await registerDynamically(server, metadata);
  for (let n = 0; n < 100; n += 1) {
    const params = { grant_type: 'authorization_code', code: `c${n}`, redirect_uri: 'https://acme.example/cb' };
    expect((await requestToken(server, client, params)).body.error).toBe('invalid_grant');
  }
  await server.core.audit.flush();
  const events = await server.core.audit.list({ action: 'token.denied', clientId: client.id });
  expect(events.map(({ detail }) => (detail as { repeated?: number }).repeated)).toEqual([99, undefined]);
  expect(events[0]).toMatchObject({ actorKind: 'client', detail: { error: 'invalid_grant' } });
});
