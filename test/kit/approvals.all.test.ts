// The approval client with a real Signet, on which a user approves the request.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApprovalClient } from '../../src/kit/index.js';
import { addCapTable, CAP_TABLE, createClaimedAgent } from '../support/approval-requests.js';
import { Browser, formsOf } from '../support/browser.js';
import { movableClock } from '../support/movable-clock.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe('the approval client with Signet', () => {
  let server: TestServer;
  const { clock, advance } = movableClock();
  beforeAll(async () => {
    server = await startServer({ clock });
    await addCapTable(server);
  });
  afterAll(() => server.close());

  it('receives an approval once, for its action only', async () => {
    const { client_id: clientId, api_key: clientSecret, ownerEmail } = await createClaimedAgent(server);
    const client = { issuer: server.issuer, clientId, clientSecret, resource: CAP_TABLE, scope: 'write:equity' };
    const { begin, check } = createApprovalClient(client);
    const approval = { message: 'An agent wants to write', details: { request: 'POST /grants' }, action: 'a' };
    expect(await begin({ ...approval, person: 'unknown@example.com' })).toBeUndefined();
    const { id } = (await begin({ ...approval, person: ownerEmail }))!;
    const poll = (action: string) => {
      advance(6000); // the minimum interval between polls
      return check(id, action);
    };
    expect(await poll('a')).toBe('pending');
    const browser = new Browser(server.origin);
    await browser.signIn(ownerEmail, PASSWORD);
    const page = await browser.open('/account/approvals');
    expect(page.html).toContain('POST /grants');
    const form = formsOf(page.html).findIndex(({ action }) => action.startsWith('/account/approvals/'));
    await browser.submit(page, { decision: 'approve' }, form);
    expect(await poll('b')).toBe('denied');
    expect(await poll('a')).toBe('approved');
    expect(await poll('a')).toBe('expired');
  });

  it('truncates long texts visibly and at whole characters', async () => {
    const { client_id: clientId, api_key: clientSecret, ownerEmail } = await createClaimedAgent(server);
    const client = { issuer: server.issuer, clientId, clientSecret, resource: CAP_TABLE, scope: 'write:equity' };
    const long = `Pay ${'😀'.repeat(200)}`;
    const details = { exact: 'x'.repeat(200), even: `y${'😀'.repeat(120)}`, odd: `yz${'😀'.repeat(120)}` };
    const approval = { person: ownerEmail, message: long, details, action: 'a' };
    expect(await createApprovalClient(client).begin(approval)).toBeDefined();
    const browser = new Browser(server.origin);
    await browser.signIn(ownerEmail, PASSWORD);
    const { html } = await browser.open('/account/approvals');
    expect(html).toContain(`Pay ${'😀'.repeat(47)}…`);
    expect(html).toContain('x'.repeat(200));
    expect(html).toContain(`y${'😀'.repeat(99)}…`);
    expect(html).toContain(`yz${'😀'.repeat(98)}…`);
    expect(html.isWellFormed() && !html.includes('\ufffd')).toBe(true);
  });
});
