// Sends every operation of the OpenAPI document, successfully and with each documented error, and
// compares the responses with the document. A new endpoint needs a line in `successfulRequests`.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiContract, readContract } from '../support/api-contract.js';
import { openFakeProvider, SETTINGS } from '../support/fake-providers.js';
import { startServer, type TestServer } from '../support/server.js';
import { CALLBACK, createFixtures, type User } from './api-document/fixtures.js';
import { createRequests } from './api-document/requests.js';

const github = await openFakeProvider('github');
const settings = {
  GITHUB_CLIENT_ID: SETTINGS.GITHUB_CLIENT_ID,
  GITHUB_CLIENT_SECRET: SETTINGS.GITHUB_CLIENT_SECRET,
  GITHUB_URL: new URL(github.issuer).origin,
  FEDERATION_STORE_TOKENS: 'github',
  FEDERATION_REDIRECT_URIS: CALLBACK,
  TEST_AUTH: 'true',
  // Limits are on, so that responses carry their headers, but too high to reach.
  RATE_LIMIT_ANONYMOUS: '10000',
  RATE_LIMIT_HUMAN: '10000',
  RATE_LIMIT_AGENT: '10000',
  RATE_LIMIT_DEFAULT: '10000',
  RATE_LIMIT_VALIDATE: '10000',
};
const server: TestServer = await startServer({ settings });
const contract: ApiContract = await readContract(server.origin);
const fixtures = createFixtures(server, contract, github);
const { successfulRequests, alternativeRequests, errorRequests } = createRequests(server, github, fixtures);

const operations = [...contract.operations];
const namesOf = (matches: (operation: (typeof operations)[0][1]) => unknown) =>
  operations.filter(([, operation]) => matches(operation)).map(([name]) => name);
const requireCredential = namesOf(({ security }) => security.every((scheme) => Object.keys(scheme).length > 0));
const acceptBearer = namesOf(({ security }) => security.some((scheme) => 'bearer' in scheme));
const requireCsrfToken = namesOf(({ security }) => security.some((scheme) => 'csrf' in scheme));
const acceptBody = namesOf(({ requestBody }) => requestBody);
const requireBody = namesOf(({ requestBody }) => requestBody?.required);

describe('the OpenAPI document', () => {
  let user: User;
  beforeAll(async () => {
    user = await fixtures.signIn();
  });
  afterAll(async () => {
    await server.close();
    await github.close();
  });

  it('is covered by a successful request for each operation', () => {
    expect(Object.keys(successfulRequests).sort()).toEqual(operations.map(([name]) => name).sort());
  });

  it.each(operations.map(([name]) => name))('describes the successful response of %s', async (name) => {
    const { status } = await contract.call(name, await successfulRequests[name]!(await fixtures.signIn()));
    expect(status).toBeLessThan(300);
  });

  it.each(alternativeRequests)('describes the response of %s to another successful request', async (name, request) => {
    const { status } = await contract.call(name, await request(await fixtures.signIn()));
    expect(status).toBeLessThan(300);
  });

  it.each(errorRequests)('describes the response of %s with the error %s', async (name, code, request) => {
    const { body } = await contract.call(name, await request(user));
    expect(body.error).toBe(code);
  });

  it.each(requireCredential)('describes the response of %s to a request without a credential', async (name) => {
    const { status, body } = await contract.call(name);
    expect([status, body.error]).toEqual([401, 'no_auth']);
  });

  it.each(acceptBearer)('describes the response of %s to an invalid token', async (name) => {
    for (const authorization of ['Bearer not-a-token', 'Basic amFuZTpzZWNyZXQ=', `Bearer ${user.refreshToken}`]) {
      const { status, body } = await contract.call(name, { headers: { authorization } });
      expect([status, body.error]).toEqual([401, 'invalid_token']);
    }
  });

  it.each(requireCsrfToken)('describes the response of %s to a cookie without a CSRF token', async (name) => {
    const { status, body } = await contract.call(name, { headers: { cookie: `cap_access=${user.accessToken}` } });
    expect([status, body.error]).toEqual([403, 'csrf_validation_failed']);
  });

  it.each(acceptBody)(
    'describes the response of %s to a body that is malformed, of another type or too large',
    async (name) => {
      const { headers } = await successfulRequests[name]!(user);
      const json = { ...headers, 'content-type': 'application/json' };
      const text = { ...headers, 'content-type': 'text/plain' };
      expect((await contract.call(name, { headers: json, body: '{' })).status).toBe(400);
      expect((await contract.call(name, { headers: text, body: 'hello' })).status).toBe(415);
      expect((await contract.call(name, { headers: json, body: `"${'x'.repeat(70_000)}"` })).status).toBe(413);
    },
  );

  it.each(requireBody)('describes the response of %s to a request without a body', async (name) => {
    const { headers } = await successfulRequests[name]!(user);
    const { status, body } = await contract.call(name, { ...(headers && { headers }) });
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(Object.keys(body.fields).length).toBeGreaterThan(0);
  });

  it('does not describe an unknown operation', async () => {
    await expect(contract.call('GET /api/v1/auth/nowhere')).rejects.toThrow('the status is not documented');
  });
});
