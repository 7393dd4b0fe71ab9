// The table of rate limits: the setting that changes them, and what a client and the log are told.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/base/config.js';
import { LIMITS } from '../../src/base/limits.js';
import { callApi, postForm, sendJson, sendRequest, type TestResponse } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const limitsOf = (text: string) => readConfig({ SECRET: 'x'.repeat(40), LIMITS: text }).limits;

describe('the setting LIMITS', () => {
  it('changes limits by name', () => {
    expect(limitsOf('')).toEqual({});
    expect(limitsOf('sign-in-pair=20, client-registration=1000')).toEqual({
      'sign-in-pair': 20,
      'client-registration': 1000,
    });
  });

  it.each(['unknown=1', 'toString=1', 'sign-in-pair', 'sign-in-pair=', 'sign-in-pair=-1', 'sign-in-pair=1.5', '=1'])(
    'is rejected with %j',
    (text) => {
      expect(() => limitsOf(text)).toThrow('must name limits of docs/configuration.md');
    },
  );

  it('cannot forbid everything', () => {
    expect(() => limitsOf('sign-in-pair=0')).toThrow('must allow at least one event');
  });

  it('knows limits whose errors describe the counted events', () => {
    for (const { name, points, events } of Object.values(LIMITS)) {
      expect(points, name).toBeGreaterThan(0);
      expect(events, name).toMatch(/^[\w, /-]{15,}$/);
    }
  });
});

describe('an exceeded limit', () => {
  let server: TestServer;
  beforeAll(async () => {
    const LIMITS = Object.entries({
      'sign-in-pair': 1,
      'register-address': 1,
      'forgot-address': 1,
      'client-registration': 2,
      'agent-onboarding': 1,
      authorization: 1,
      'client-authentication': 1,
    }).map(([name, points]) => `${name}=${points}`);
    server = await startServer({ settings: { LIMITS: LIMITS.join(), TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterAll(() => server.close());

  /** Every case has an address of its own. */
  let cases = 0;
  const headers = () => ({ 'x-forwarded-for': `192.0.2.${cases}` });
  const post = (path: string, body: object) => callApi(server, 'POST', path, { body, headers: headers() });

  const password = 'correct horse battery';
  it.each<[name: string, code: string, events: string, send: (n: number) => Promise<TestResponse>]>([
    [
      'sign-in-pair',
      'auth_rate_limited',
      'attempts to sign in to one account from one network',
      () => post('/auth/login', { email: 'a@example.com', password }),
    ],
    [
      'register-address',
      'auth_rate_limited',
      'registrations of accounts from one network',
      (n) => post('/auth/register', { email: `new-${n}@example.com`, password }),
    ],
    [
      'client-registration',
      'rate_limited',
      'registrations of apps from one network',
      () => sendJson(server, 'POST', '/oauth/clients/register', { body: {}, headers: headers() }),
    ],
    [
      'agent-onboarding',
      'rate_limited',
      'onboardings of agents from one network',
      (n) => post('/agents/onboard', { agent_id: `a${n}`, agent_name: 'A', capabilities: [] }),
    ],
    [
      'authorization',
      'rate_limited',
      'authorization, device and pushed requests from one network',
      () => sendRequest(server, 'GET', '/oauth/authorize?client_id=x', { ...headers(), accept: 'application/json' }),
    ],
    [
      'client-authentication',
      'rate_limited',
      'failed authentications of one client from one network',
      () =>
        postForm(
          server,
          '/oauth/token',
          { grant_type: 'client_credentials' },
          { client: { id: 'x', secret: 'y' } as never, headers: headers() },
        ),
    ],
  ])('%s is named in the response and in the log', async (name, code, events, send) => {
    cases += 1;
    const responses: TestResponse[] = [];
    for (let n = 0; n < 4; n += 1) responses.push(await send(n));
    const { status, json, headers: responseHeaders } = responses.at(-1)!;
    expect([status, json.error]).toEqual([429, code]);
    expect(json.error_description).toMatch(new RegExp(`^Too many ${events}. Try again in \\d+ \\w+.$`));
    expect(Number(responseHeaders['retry-after'])).toBeGreaterThan(0);
    const logged = server.lines
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === 'a rate limit was exceeded');
    expect(logged).toContainEqual(expect.objectContaining({ limit: name, requestId: responseHeaders['x-request-id'] }));
  });
});
