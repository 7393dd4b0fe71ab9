// Runs the journeys of users and clients with recognizable secrets, then searches the log at its
// most verbose level, the audit log and all error responses for them.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { startServer, type TestServer } from '../support/server.js';
import { acceptInvitation, recover, register, setUp, useSecondFactor } from './secret-journeys/accounts.js';
import { causeDatabaseErrors, misplaceSecrets } from './secret-journeys/failures.js';
import {
  authorize,
  connectDevice,
  manageRegistration,
  pushAndProve,
  requestApprovals,
  signOut,
  useTokens,
} from './secret-journeys/oauth.js';
import { createJourney, type Journey, type Secrets } from './secret-journeys/secrets.js';

const EMAIL = 'jane@example.com';

describe('secrets', () => {
  let server: TestServer;
  let secrets: Secrets;
  /** The responses with a status of 400 or more. */
  const errors: { request: string; text: string }[] = [];
  const originalFetch = globalThis.fetch;

  beforeAll(async () => {
    server = await startServer({ settings: { LOG_LEVEL: 'trace', TRUSTED_PROXIES: '127.0.0.1' } });
    globalThis.fetch = async (...args) => {
      const response = await originalFetch(...args);
      if (response.status >= 400) {
        const request = `${args[1]?.method ?? 'GET'} ${new URL(String(args[0])).pathname} (${response.status})`;
        errors.push({ request, text: await response.clone().text() });
      }
      return response;
    };
    const journey = createJourney(server);
    secrets = journey.secrets;
    await runAll(journey);
    await server.core.audit.flush();
  }, 120_000);
  afterAll(async () => {
    globalThis.fetch = originalFetch;
    await server.close();
  });

  async function runAll(journey: Journey) {
    const client = await server.client();
    secrets.keep('client secret', client.secret);
    const browser = new Browser(server.origin);
    const password = secrets.create('password');
    await setUp(journey);
    await register(journey, browser, EMAIL, password);
    await recover(journey);
    await acceptInvitation(journey);
    await requestApprovals(journey);
    const obtained = await authorize(journey, browser, client, EMAIL, password);
    await useTokens(journey, client, obtained);
    await useSecondFactor(journey);
    await connectDevice(journey, browser, client);
    await pushAndProve(journey, client);
    await manageRegistration(journey);
    await misplaceSecrets(journey, client, browser, EMAIL, password);
    await signOut(journey, browser, client);
    await causeDatabaseErrors(journey, client, EMAIL, password);
  }

  it('are of all kinds, and the journeys reach their ends', () => {
    const kinds = new Set([...secrets.values.keys()].map((name) => name.replace(/ \d+$/, '')));
    for (const kind of [
      'code',
      'access_token',
      'refresh_token',
      'id_token',
      'device code',
      'mailed token',
      'auth_req_id',
      'invitation',
      'user code',
      'interaction',
      'setup token',
      'TOTP secret',
      'recovery code',
      'challenge',
      'request_uri',
      'assertion',
      'cookie signet_login',
    ]) {
      expect([...kinds], kind).toContain(kind);
    }
    expect(secrets.values.size).toBeGreaterThan(100);
    expect(errors.length).toBeGreaterThan(50);
    expect(errors.some(({ request }) => request.includes('(500)') || request.includes('(503)'))).toBe(true);
  });

  it('are found by the search in every encoding', () => {
    const [name, value] = [...secrets.values][0]!;
    for (const encoded of secrets.encodingsOf(value)) expect(secrets.findIn(`{"x":"${encoded}"}`)).toContain(name);
  });

  it('are not logged, even at level trace', () => {
    expect(server.lines.length).toBeGreaterThan(200);
    expect(server.lines.filter((line) => line.includes('"level":"error"')).length).toBeGreaterThan(5);
    for (const line of server.lines) expect(secrets.findIn(line), line).toEqual([]);
  });

  it('are not in the audit log', async () => {
    const events = await server.base.db.auditEvent.findMany();
    const actions = new Set(events.map(({ action }) => action));
    for (const action of [
      'account.created',
      'approval.approved',
      'client.deleted',
      'client.registered',
      'code.replayed',
      'consent.granted',
      'email.verified',
      'invitation.accepted',
      'password.changed',
      'password.reset',
      'password.reset_requested',
      'mfa.enrolled',
      'mfa.recovery_code_used',
      'mfa.recovery_codes_regenerated',
      'mfa.removed',
      'refresh_token.replayed',
      'session.ended',
      'setup.completed',
      'sign_in.failed',
      'sign_in.succeeded',
      'token.denied',
      'token.revoked',
    ]) {
      expect([...actions], action).toContain(action);
    }
    for (const event of events) expect(secrets.findIn(JSON.stringify(event)), JSON.stringify(event)).toEqual([]);
  });

  it('are not in error responses', () => {
    for (const { request, text } of errors) {
      // A form that is shown again, and its links, contain the id of the interaction, but no
      // password.
      const isForm = text.includes('<form');
      const withoutForms = text.replace(/<form[\s\S]*?<\/form>|href="\/(login|register)\?[^"]*"/g, '');
      const found = secrets.findIn(isForm ? withoutForms : text);
      const passwords = secrets
        .findIn(text)
        .filter((name) => /^((short|rejected|forgotten|new|changed|wrong) )?password/.test(name))
        .filter((name) => !name.includes('in the e-mail field'));
      expect([...found, ...passwords], `${request}: ${text}`).toEqual([]);
    }
  });
});
