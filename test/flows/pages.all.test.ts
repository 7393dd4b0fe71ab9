// The pages of the sign-in, of OAuth and of errors, and the mails, in Chromium without scripts.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from 'vitest';
import { createMailTemplates } from '../../src/base/mail/templates.js';
import { systemMeta } from '../../src/base/request-meta.js';
import { launchChromium } from '../support/chromium.js';
import { DEVICE_GRANT } from '../support/device.js';
import { linkIn, mailTo } from '../support/mailbox.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { type CheckedPage, openCheckedPage, registerClient } from './pages/checked-page.js';

const TELEVISION = 'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/538.1 Version/6.0 TV Safari';

describe('the sign-in and OAuth pages', () => {
  let server: TestServer;
  let browser: Browser;
  let context: CheckedPage['context'];
  let page: CheckedPage['page'];
  let checkPage: CheckedPage['checkPage'];
  let signIn: CheckedPage['signIn'];
  beforeAll(async () => {
    server = await startServer();
    browser = await launchChromium();
  });
  beforeEach(async () => {
    ({ context, page, checkPage, signIn } = await openCheckedPage(browser));
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await server.close();
  });

  it('show the start page, registration and sign-in', async () => {
    await page.goto(server.origin);
    await checkPage('home', 'Signet');
    await page.goto(`${server.origin}/register`);
    await page.fill('[name=name]', 'Mara Lindqvist');
    await page.fill('[name=email]', (await server.account()).email);
    await page.fill('[name=password]', 'password1234');
    await page.locator('main form').evaluate((form) => form.setAttribute('novalidate', ''));
    await page.click('main button[type=submit]');
    await checkPage('register-errors', 'Create an account');
    await page.goto(`${server.origin}/login`);
    await checkPage('login', 'Sign in');
    await signIn('unknown@example.com');
    await checkPage('login-wrong', 'Sign in');
  });

  it('show the password reset and the verification of an address', async () => {
    const { email } = await server.account();
    await page.goto(`${server.origin}/forgot-password`);
    await checkPage('forgot-password', 'Forgot your password?');
    await page.fill('[name=email]', email);
    await page.click('main button[type=submit]');
    await checkPage('forgot-password-sent', 'Check your e-mail');
    await page.goto(linkIn(await mailTo(server, email, /Choose/)).href);
    await checkPage('reset-password', 'Choose a new password');
    await page.fill('[name=password]', 'password1234');
    await page.click('main button[type=submit]');
    await checkPage('reset-password-weak', 'Choose a new password');
    await page.fill('[name=password]', 'nine unrelated lanterns');
    await page.click('main button[type=submit]');
    await checkPage('password-set', 'Your new password is set');
    await page.goto(linkIn(await mailTo(server, email, /Choose/)).href);
    await checkPage('link-expired', 'This link is no longer valid');
    const unverified = await server.account();
    await server.core.emailVerification.request(unverified);
    await page.goto(linkIn(await mailTo(server, unverified.email, /Confirm/)).href);
    await checkPage('verify-email', 'Confirm your address');
    await page.fill('input[name=password]', PASSWORD);
    await page.click('main button[type=submit]');
    await checkPage('email-verified', 'Your e-mail address is confirmed');
  });

  it('show the outbox of a server in development', async () => {
    const other = await startServer({ settings: { NODE_ENV: 'development', PASSWORD_HASH_COST: '10' } });
    try {
      await page.goto(`${other.origin}/dev/outbox`);
      await checkPage('outbox-empty', 'Outbox');
      const { email } = await other.account();
      await other.core.passwordReset.requestReset(email, systemMeta);
      await mailTo(other, email, /Choose/);
      await page.goto(`${other.origin}/dev/outbox`);
      await checkPage('outbox', 'Outbox');
    } finally {
      await other.close();
    }
  });

  it('show the setup', async () => {
    const token = await server.core.bootstrap.createToken();
    await page.goto(`${server.origin}/setup?token=${token}`);
    await checkPage('setup', 'Set up Signet');
  });

  it('show the sign-in for an app and the consent', async () => {
    const { email } = await server.account();
    const { id, redirect_uri } = await registerClient(server);
    const scope = 'openid profile email offline_access memory:read memory:write agent:write';
    const more = { redirect_uri, scope, prompt: 'consent', resource: `${server.issuer}/api/v1` };
    await page.goto(authorizeUrl(server, { id }, pkce().challenge, more));
    await checkPage('login-for-app', 'Sign in');
    await signIn(email);
    await checkPage('consent', 'Allow this app to use your Signet account?');
    const { resource: _, ...withoutResource } = more;
    await page.goto(authorizeUrl(server, { id }, pkce().challenge, withoutResource));
    await checkPage('consent-scopes', 'Allow this app to use your Signet account?');
  });

  it('show the connection of a device', async () => {
    const { email } = await server.account();
    const { id } = await server.client({
      client_name: 'Living room',
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
    });
    const requestUserCode = async () => {
      const params = { client_id: id, scope: 'openid email' };
      const { json } = await postForm(server, '/oauth/device', params, { headers: { 'user-agent': TELEVISION } });
      return String(json.user_code);
    };
    const enter = async (code: string) => {
      await page.goto(`${server.origin}/device`);
      await page.fill('[name=user_code]', code);
      await page.click('main button[type=submit]');
    };
    await page.goto(`${server.origin}/device`);
    await checkPage('device-input', 'Connect a device');
    await enter('WXYZ-WXYZ');
    await checkPage('device-input-wrong', 'Connect a device');
    await enter(await requestUserCode());
    await checkPage('device-confirm', 'Is this the code on your device?');
    await page.click('button[name=confirm]');
    await signIn(email);
    await page.click('button[value=allow]');
    await checkPage('device-done', 'Your device is connected');
    await enter(await requestUserCode());
    await page.click('button[name=abort]');
    await checkPage('device-denied', 'The device was not connected');
  });

  it('show the end of a logout that an unverified app requested', async () => {
    const home = 'https://reports.northwind-traders.example/signed-out';
    const { id } = await registerDynamically(server, {
      client_name: 'Quarterly Numbers & Reporting for Northwind',
      post_logout_redirect_uris: [home],
    });
    const query = new URLSearchParams({ client_id: id, post_logout_redirect_uri: home });
    await page.goto(`${server.origin}/oauth/logout?${query}`);
    await page.click('button[type=submit]'); // a script does this
    await checkPage('logged-out-unverified', 'You are signed out');
  });

  it('render the HTML mails', async () => {
    const { render } = createMailTemplates({ brandName: 'Signet', issuer: server.issuer });
    const event = {
      device: 'Firefox on Linux',
      address: '2001:db8:85a3::8a2e:370:7334',
      at: '22 November 2026 at 13:20 UTC',
    };
    const token = 'kJ3v9sQ1rT7yB2nM5xW8cL0pD4hJ6gFaZkq1wE2rT3y';
    const mails = {
      'verify-email': render('verify-email', { token }),
      'reset-password': render('reset-password', { token }),
      'password-changed': render('password-changed', event),
      'new-device': render('new-device', event),
      'provider-linked': render('provider-linked', { ...event, provider: 'GitHub', by: 'email' }),
      'approval-requested': render('approval-requested', { agent: 'Cap Table Automation' }),
      invitation: render('invitation', { token, inviter: 'ada.okafor@northwind-traders.example', role: 'operator' }),
    };
    for (const [name, { subject, html }] of Object.entries(mails)) {
      await page.setContent(html);
      await checkPage(`mail-${name}`, subject);
    }
  });

  it('show errors', async () => {
    await page.goto(`${server.origin}/nowhere`);
    await checkPage('not-found', 'Page not found');
    await page.goto(`${server.origin}/oauth/authorize?client_id=unknown&response_type=code`);
    await checkPage('sign-in-failed', 'Sign-in failed');
    await page.goto(`${server.origin}/setup?token=used`);
    await checkPage('setup-used', 'Something went wrong');
    await page.goto(`${server.origin}/interaction/old`);
    await checkPage('interaction-expired', 'Something went wrong');
  });
});
