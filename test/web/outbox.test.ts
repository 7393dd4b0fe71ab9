// The outbox page shows the e-mails of a development server, but only to a browser on the same
// machine.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser } from '../support/browser.js';
import { mailTo } from '../support/mailbox.js';
import { sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const DEVELOPMENT = { NODE_ENV: 'development', PASSWORD_HASH_COST: '10' };

describe('the outbox page', () => {
  let server: TestServer;
  let email: string;
  beforeAll(async () => {
    server = await startServer({ settings: DEVELOPMENT });
    ({ email } = await server.account());
    await server.core.passwordReset.requestReset(email, systemMeta);
    await mailTo(server, email, /Choose/);
  });
  afterAll(() => server.close());

  it('shows e-mails with working links', async () => {
    const browser = new Browser(server.origin);
    const page = await browser.open('/dev/outbox');
    expect(page.status).toBe(200);
    expect(page.html).toContain(email);
    const [, href = ''] = /<a href="([^"]*reset-password[^"]*)"/.exec(page.html) ?? [];
    expect((await browser.open(href)).html).toContain('Choose a new password');
  });

  it.each([
    ['for a host name of another machine', { host: 'evil.example' }],
    ['for a host name that starts with localhost', { host: 'localhost.evil.example' }],
    ['through a reverse proxy', { 'x-forwarded-for': '127.0.0.1' }],
    ['through a tunnel', { 'x-forwarded-host': 'localhost' }],
    ['through a proxy that sends Forwarded', { forwarded: 'for=127.0.0.1' }],
  ])('is not served %s', async (_case, headers: Record<string, string>) => {
    const localHeaders = { accept: 'text/html', host: `localhost:${server.port}` };
    expect((await sendRequest(server, 'GET', '/dev/outbox', localHeaders)).status).toBe(200);
    const response = await sendRequest(server, 'GET', '/dev/outbox', { ...localHeaders, ...headers });
    expect([400, 404]).toContain(response.status);
    expect(response.text).not.toContain(email);
  });

  it.each([
    ['the issuer is another host', { ...DEVELOPMENT, ISSUER: 'https://id.example.com' }],
    ['NODE_ENV is not development', { NODE_ENV: 'test' }],
  ])('is not served if %s', async (_case, settings) => {
    const otherServer = await startServer({ settings });
    const response = await sendRequest(otherServer, 'GET', '/dev/outbox', { host: `localhost:${otherServer.port}` });
    expect(response.status).toBe(404);
    await otherServer.close();
  });
});
