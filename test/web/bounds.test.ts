// Every bound of what a client can cost, store or create: the response says which one was reached,
// and the log names it with the id of the request. `test/base/limits.test.ts` has the rate limits.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSignedInAccount } from '../support/api.js';
import { forgedProof, rsaKey } from '../support/costly-credentials.js';
import { DEVICE_CLIENT } from '../support/device.js';
import { type HttpServer, openHttpServer } from '../support/http-server.js';
import { requestRegistration } from '../support/registration.js';
import { callApi, FORM, postForm, sendRequest, type TestResponse } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const SETTINGS = {
  PASSWORD_HASH_COST: '10', // long enough for others to wait
  MAX_WAITING_PASSWORDS: '4',
  MAX_WAITING_PASSWORDS_PER_NETWORK: '2',
  MAX_STORED_KILOBYTES_PER_HOUR: '100',
  MAX_DOCUMENT_FETCHES: '2',
  MAX_DOCUMENT_FETCHES_PER_NETWORK: '1',
  MAX_API_KEYS: '1',
  MAX_ORGANIZATIONS: '2',
  MAX_AGENTS: '3',
  MAX_ORGANIZATION_AGENTS: '1',
  MAX_OPEN_INVITATIONS: '1',
  SMTP_URL: 'smtp://127.0.0.1:9', // the server sends mail, so unverified addresses have lower limits
  MAIL_FROM: 'no-reply@signet.example',
  MAX_UNVERIFIED: '1',
  TRUSTED_PROXIES: '127.0.0.1',
};

let server: TestServer;
let clientId: string;
let token: string;
let unverified: string;
let organization: string;
const documentHosts: HttpServer[] = [];

beforeAll(async () => {
  server = await startServer({ settings: SETTINGS });
  clientId = (await server.client(DEVICE_CLIENT)).id;
  const owner = await createSignedInAccount(server);
  await server.base.db.account.update({ where: { id: owner.accountId }, data: { emailVerified: true } });
  token = owner.access_token;
  unverified = (await createSignedInAccount(server)).access_token;
  organization = await server.core.organizations.personalOrganizationId(owner.accountId);
  for (let n = 0; n < 4; n += 1) documentHosts.push(await openHttpServer(() => new Promise(() => {})));
});
afterAll(async () => {
  for (const host of documentHosts) await host.close();
  await server.close();
});

const repeat = (count: number, parameter: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => parameter(n)).join('&');
const form = (path: string, body: string) => sendRequest(server, 'POST', path, { 'content-type': FORM }, body);
const device = (parameters: string, address = '192.0.2.1') =>
  sendRequest(
    server,
    'POST',
    '/oauth/device',
    { 'content-type': FORM, 'x-forwarded-for': address },
    `client_id=${clientId}&${parameters}`,
  );
const post = (path: string, body: object, bearer = token) => callApi(server, 'POST', path, { body, token: bearer });
const signIn = (address: string, n: number) =>
  callApi(server, 'POST', '/auth/login', {
    body: { email: `unknown-${n}@example.com`, password: PASSWORD },
    headers: { 'x-forwarded-for': address },
  });
const authorize = (client: string, address: string) =>
  sendRequest(server, 'GET', `/oauth/authorize?client_id=${encodeURIComponent(client)}`, {
    'x-forwarded-for': address,
    accept: 'application/json',
  });

/** Sends requests at the same time. Returns the first response that a bound has rejected. */
async function rejected(requests: Promise<TestResponse>[]): Promise<TestResponse> {
  return Promise.any(
    requests.map(async (request) => {
      const response = await request;
      if (response.status < 400 || response.json.error === 'invalid_credentials') throw new Error(response.text);
      return response;
    }),
  );
}

/** Sends requests one after another. Returns the last response. */
async function last(count: number, send: (n: number) => Promise<TestResponse>): Promise<TestResponse> {
  let response = await send(0);
  for (let n = 1; n < count; n += 1) response = await send(n);
  return response;
}

const agent = (n: number) => ({ agent_id: `agent-${n}`, agent_name: 'A', capabilities: ['read:cap-table'] });
const CASES: [bound: string, message: string, send: () => Promise<TestResponse>][] = [
  ['MAX_RESOURCES', 'at most 10 resource parameters are allowed', () => device(repeat(11, (n) => `resource=urn:${n}`))],
  ['MAX_SCOPES', 'at most 50 scopes are allowed', () => device(`scope=${'a+'.repeat(50)}b`)],
  [
    'MAX_PARAMETER_LENGTH',
    'login_hint is longer than 16384 characters',
    () => device(`login_hint=${'x'.repeat(16_385)}`),
  ],
  ['MAX_STORED_REQUEST_BYTES', 'the request is larger than 8192 bytes', () => device(`login_hint=${'x'.repeat(9000)}`)],
  [
    'MAX_STORED_KILOBYTES_PER_HOUR',
    'this network has started more than 100 kB of requests in an hour',
    () => last(20, () => device(`scope=openid&login_hint=${'x'.repeat(7000)}`, '192.0.2.2')),
  ],
  [
    'MAX_CLIENT_KEYS',
    'jwks can have at most 10 keys',
    () => requestRegistration(server, { jwks: { keys: Array.from({ length: 11 }, (_, n) => ({ kid: `${n}` })) } }),
  ],
  [
    'MAX_STORED_REQUEST_BYTES',
    'the metadata is longer than 8192 bytes',
    () =>
      requestRegistration(server, {
        redirect_uris: Array.from({ length: 5 }, (_, n) => `https://acme.example/${'x'.repeat(2000)}${n}`),
      }),
  ],
  [
    'MAX_DOCUMENT_FETCHES_PER_NETWORK',
    'the server fetches 1 documents for this network or from this host; try again in a moment',
    () => rejected([0, 1].map((n) => authorize(`${documentHosts[0]!.origin}/${n}`, `198.51.100.${n}`))),
  ],
  [
    'MAX_DOCUMENT_FETCHES',
    'the server fetches 2 documents; try again in a moment',
    () => rejected([1, 2, 3].map((n) => authorize(`${documentHosts[n]!.origin}/x`, `198.51.100.${10 + n}`))),
  ],
  [
    'MAX_WAITING_PASSWORDS_PER_NETWORK',
    'Too many sign-ins from this network at the same time. Try again in a moment.',
    () => rejected(Array.from({ length: 8 }, (_, n) => signIn('203.0.113.1', n))),
  ],
  [
    'MAX_WAITING_PASSWORDS',
    'Too many sign-ins at the same time. Try again in a moment.',
    () => rejected(Array.from({ length: 12 }, (_, n) => signIn(`203.0.113.${10 + n}`, n))),
  ],
  ['MAX_API_KEYS', 'An account can have at most 1 active keys.', () => last(2, () => post('/api-keys', { name: 'k' }))],
  [
    'MAX_ORGANIZATIONS',
    'An account can have at most 2 organizations.',
    () => last(2, () => post('/organizations', { name: 'Acme' })),
  ],
  [
    'MAX_ORGANIZATION_AGENTS',
    'An organization can have at most 1 agents.',
    () => last(2, (n) => post('/agents/onboard', agent(n))),
  ],
  [
    'MAX_OPEN_INVITATIONS',
    'An organization can have at most 1 open invitations.',
    () =>
      last(2, (n) =>
        post(`/organizations/${organization}/invitations`, { email: `guest-${n}@example.com`, role: 'viewer' }),
      ),
  ],
  [
    'MAX_UNVERIFIED',
    'An account can have at most 1 organizations. Verify your e-mail address to have more.',
    () => post('/organizations', { name: 'Acme' }, unverified),
  ],
  [
    'DPoP proof',
    'the proof is longer than 4096 characters',
    () =>
      postForm(
        server,
        '/oauth/token',
        { client_id: clientId, grant_type: 'refresh_token', refresh_token: 'x' },
        { headers: { dpop: forgedProof(rsaKey(16_384), 'POST', `${server.issuer}/oauth/token`) } },
      ),
  ],
  ['body', 'The body is larger than 65536 bytes.', () => post('/auth/login', { email: 'x'.repeat(70_000) })],
  ['body', 'The body is larger than 57344 bytes.', () => form('/oauth/token', 'x'.repeat(60_000))],
  [
    'form',
    'A form can have at most 200 fields.',
    () =>
      form(
        '/login',
        repeat(201, (n) => `a${n}=1`),
      ),
  ],
  [
    'query',
    'A query can have at most 200 parameters.',
    () => sendRequest(server, 'GET', `/login?${repeat(201, (n) => `a${n}=1`)}`),
  ],
  [
    'URL',
    'A URL can have at most 8192 characters. Use a pushed authorization request (RFC 9126).',
    () => sendRequest(server, 'GET', `/oauth/authorize?state=${'x'.repeat(9000)}`),
  ],
];

it.each(CASES)('%s is named in the response and in the log: %s', async (bound, message, send) => {
  const { status, text, headers } = await send();
  expect(status, text).toBeGreaterThanOrEqual(400);
  expect(text).toContain(message);
  const logged = server.lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'a bound was exceeded');
  expect(logged).toContainEqual(expect.objectContaining({ bound, requestId: headers['x-request-id'] }));
});
