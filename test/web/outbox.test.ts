// The mails of a machine that sends none: for whoever sits at it, and for nobody else.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { mailTo } from '../support/mailbox.js';
import { sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

describe('the outbox page', () => {
  let server: TestServer;
  let email: string;
  beforeAll(async () => {
    server = await startServer({ settings: { NODE_ENV: 'development', PASSWORD_HASH_COST: '10' } });
    ({ email } = await server.account());
    await server.core.passwordReset.requestReset(email, { address: '127.0.0.1', userAgent: '', requestId: '' });
    await mailTo(server, email, /Choose/);
  });
  afterAll(() => server.close());

  const see = (headers: Record<string, string>) =>
    sendRequest(server, 'GET', '/dev/outbox', { accept: 'text/html', ...headers });

  it('shows mails with links that lead on', async () => {
    const browser = new Browser(server.origin);
    const page = await browser.open('/dev/outbox');
    expect(page.status).toBe(200);
    expect(page.html).toContain(email);
    const [, href = ''] = /<a href="([^"]*reset-password[^"]*)"/.exec(page.html) ?? [];
    expect((await browser.open(href)).html).toContain('Choose a new password');
  });

  it.each([
    ['by another name than that of this machine', { host: 'evil.example' }],
    ['by a name that only begins like it', { host: 'localhost.evil.example' }],
    ['through a proxy', { 'x-forwarded-for': '127.0.0.1' }],
    ['through a tunnel', { 'x-forwarded-host': 'localhost' }],
    ['through a relay that says so', { forwarded: 'for=127.0.0.1' }],
  ])('does not exist for who comes %s', async (_how, headers: Record<string, string>) => {
    const here = { host: `localhost:${server.port}` };
    expect((await see(here)).status).toBe(200);
    const answer = await see({ ...here, ...headers });
    expect([400, 404]).toContain(answer.status);
    expect(answer.text).not.toContain(email);
  });

  it('does not exist where the issuer is not this machine, nor outside of development', async () => {
    const otherBrowser = { NODE_ENV: 'development', PASSWORD_HASH_COST: '10', ISSUER: 'https://id.example.com' };
    for (const settings of [otherBrowser, { NODE_ENV: 'test' }]) {
      const other = await startServer({ settings });
      const answer = await sendRequest(other, 'GET', '/dev/outbox', { host: `localhost:${other.port}` });
      expect(answer.status).toBe(404);
      await other.close();
    }
  });
});
