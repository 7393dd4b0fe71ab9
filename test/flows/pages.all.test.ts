// Every page in Chromium, without scripts: it has one heading, fits screens of all sizes and causes
// no console message. With SIGNET_TEST_PICTURES, a screenshot of each is stored in that folder.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import jsQR from 'jsqr';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMailTemplates } from '../../src/base/mail/templates.js';
import { systemMeta } from '../../src/core/request-meta.js';
import { getAgent, onboard } from '../support/agents.js';
import { addCapTable, createClaimedAgent, requestApproval } from '../support/approval-requests.js';
import { Authenticator } from '../support/authenticator.js';
import { launchChromium } from '../support/chromium.js';
import { linkIn, mailTo, tokenIn } from '../support/mailbox.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { callApi, postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const SIZES = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
];
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const PICTURES = process.env.SIGNET_TEST_PICTURES;

describe('the pages', () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    server = await startServer();
    browser = await launchChromium();
    if (PICTURES) mkdirSync(PICTURES, { recursive: true });
  });
  beforeEach(async () => {
    context = await browser.newContext({ javaScriptEnabled: false });
    complaints = [];
    context.on('console', (message) => {
      const isErrorPage = message.text().startsWith('Failed to load resource'); // its status is 4xx
      if (['error', 'warning'].includes(message.type()) && !isErrorPage) complaints.push(message.text());
    });
    page = await context.newPage();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await server.close();
  });

  /**
   * Expects that the open page has this heading, fits all screens and caused no console message.
   */
  async function checkPage(name: string, heading: string) {
    expect(await page.locator('h1').allInnerTexts(), name).toEqual([heading]);
    for (const size of SIZES) {
      await page.setViewportSize(size);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const file = `${name}-${size.width}-${colorScheme}.png`;
        if (PICTURES) await page.screenshot({ path: join(PICTURES, file), fullPage: true, animations: 'disabled' });
      }
      expect(await overflowingElements(), `${name} at ${size.width}`).toEqual([]);
    }
    expect(complaints, name).toEqual([]);
  }

  /** Returns the elements that extend beyond the right edge of the window. */
  async function overflowingElements() {
    const { width } = page.viewportSize()!;
    const boxes = await page.locator('body *').evaluateAll((elements) =>
      elements.map((element) => ({
        tag: element.outerHTML.slice(0, 80),
        right: element.getBoundingClientRect().right,
      })),
    );
    return boxes.filter(({ right }) => right > width + 0.5);
  }

  async function signIn(email: string) {
    await page.fill('[name=email]', email);
    await page.fill('[name=password]', PASSWORD);
    await page.click('main button[type=submit]');
  }

  /** Reads the QR code in a picture of the screen. */
  async function readQrCode(png: Buffer): Promise<string | undefined> {
    const decoder = await browser.newPage();
    const { pixels, width, height } = await decoder.evaluate(
      async (src) => {
        const image = new Image();
        image.src = src;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const drawing = canvas.getContext('2d')!;
        drawing.drawImage(image, 0, 0);
        const { data, width, height } = drawing.getImageData(0, 0, image.width, image.height);
        return { pixels: [...data], width, height };
      },
      `data:image/png;base64,${png.toString('base64')}`,
    );
    await decoder.close();
    return jsQR.default(Uint8ClampedArray.from(pixels), width, height)?.data;
  }

  /** Registers an unverified client with long names. */
  async function registerClient() {
    const origin = 'https://reports.northwind-traders.example';
    const redirect_uri = `${origin}/auth/callback/signet`;
    const { id } = await registerDynamically(server, {
      client_name: 'Quarterly Numbers & Reporting for Northwind',
      client_uri: origin,
      policy_uri: `${origin}/privacy`,
      tos_uri: `${origin}/terms`,
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
    });
    return { id, redirect_uri };
  }

  async function verifyEmail(email: string): Promise<void> {
    await server.core.emailVerification.request((await server.core.accounts.findByEmail(email))!);
    await server.core.emailVerification.verify(tokenIn(await mailTo(server, email, /Confirm/)), systemMeta);
  }

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
    const { id, redirect_uri } = await registerClient();
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

  it('show the account and the sign-out', async () => {
    const { email, id: accountId } = await server.account('mara.lindqvist@example.com', 'Mara Lindqvist');
    const meta = { address: '2001:db8:85a3::8a2e:370:7334', userAgent: IPHONE, requestId: '' };
    const authResult = await server.core.signIn.withPassword({ email, password: PASSWORD }, meta);
    if (authResult.kind === 'complete')
      await server.core.sessionIssuer.startBrowserSession(authResult, undefined, meta);
    const verifiedClient = await server.client({ client_name: 'Acme', client_uri: 'https://acme.example' });
    const unverifiedClient = await registerClient();
    const consent = { scopes: ['openid', 'email', 'offline_access'], claims: [], resources: {} };
    await server.core.consents.grant(
      accountId,
      verifiedClient.id,
      { ...consent, scopes: ['openid', 'profile', 'email'] },
      meta,
    );
    const resources = { [`${server.issuer}/api/v1`]: ['memory:read', 'agent:write'] };
    await server.core.consents.grant(accountId, unverifiedClient.id, { ...consent, resources }, meta);

    await page.goto(`${server.origin}/account`);
    await signIn(email);
    await checkPage('account', 'Mara Lindqvist');
    await page.click('form[action="/account/verify-email"] button');
    await checkPage('account-link-sent', 'Mara Lindqvist');
    await page.goto(server.origin);
    await checkPage('home-signed-in', 'Signet');
    await page.goto(`${server.origin}/logout`);
    await checkPage('sign-out', 'Sign out of Signet?');
    await page.goto(`${server.origin}/oauth/logout?client_id=${verifiedClient.id}`);
    await checkPage('logout-from-app', 'Do you want to sign out of Signet?');
    await page.click('button[name=logout]');
    await checkPage('logged-out', 'You are signed out');
    await page.goto(`${server.origin}/logout`);
    await checkPage('signed-out', 'You are signed out');
  });

  it('show the API keys of the user', async () => {
    const { email, id } = await server.account('mara.lindqvist+keys@example.com', 'Mara Lindqvist');
    const northwind = await server.core.organizations.create(id, 'Northwind Traders & Reporting', systemMeta);
    const project = await server.core.projects.create({ accountId: id }, northwind.id, 'Quarterly numbers', systemMeta);
    await page.goto(`${server.origin}/account/keys`);
    await signIn(email);
    await checkPage('keys-none', 'API keys');
    await page.click('main a.primary');
    await checkPage('new-key', 'New API key');
    await page.fill('[name=name]', '–');
    await page.click('main button[type=submit]');
    await checkPage('new-key-wrong', 'New API key');
    await page.fill('[name=name]', 'Nightly build of the reporting service');
    await page.selectOption('[name=place]', project.id);
    await page.selectOption('[name=role]', 'operator');
    await page.check('[name="scope.memory:read"]');
    await page.check('[name="scope.read:financials"]');
    await page.click('main button[type=submit]');
    await checkPage('key-made', 'Save this key');
    const [key = ''] = await page.locator('.copy').allInnerTexts();
    expect((await callApi(server, 'GET', '/auth/me', { headers: { 'x-api-key': key } })).status).toBe(200);
    await page.click('main a.primary');
    await checkPage('keys', 'API keys');
    await page.click('text=Replace');
    await checkPage('replace-key', 'Replace Nightly build of the reporting service?');
    await page.click('main button[type=submit]');
    await checkPage('key-replaced', 'Save this key');
    await page.click('main a.primary');
    await page.click('text=Revoke');
    await checkPage('revoke-key', 'Revoke Nightly build of the reporting service?');
    await page.click('main button[type=submit]');
    await checkPage('keys-revoked', 'API keys');
    await page.goto(`${server.origin}/account`);
    await checkPage('account-with-key', 'Mara Lindqvist');
  });

  it('show the agents of the user', async () => {
    const { email, id } = await server.account('mara.lindqvist+agents@example.com', 'Mara Lindqvist');
    const mara = (await server.core.accounts.find(id))!;
    await page.goto(`${server.origin}/account/agents`);
    await signIn(email);
    await checkPage('agents-none', 'Agents');
    const unclaimed = await onboard(server, { agent_id: 'helper', agent_name: 'Mail helper' });
    await page.goto(unclaimed.claim_url!);
    await checkPage('claim-agent', 'Claim Mail helper?');
    await page.click('main button[type=submit]');
    await checkPage('agent-claimed', 'You have claimed Mail helper');
    const northwind = await server.core.organizations.create(id, 'Northwind Traders & Reporting', systemMeta);
    const capabilities = server.core.resources.capabilities().map(({ name }) => name);
    const agent = {
      agentId: 'cap-table.automation:nightly@reporting',
      name: 'Cap table automation of the reporting service',
    };
    await server.core.agents.onboarding.onboardInto(northwind.id, mara, { ...agent, capabilities }, systemMeta);
    await page.click('main a.primary');
    await checkPage('agents', 'Agents');
    await page.click('text=Replace key');
    await checkPage('replace-agent-key', 'Replace the key of Mail helper?');
    await page.click('main button[type=submit]');
    await checkPage('agent-key', 'Save this key');
    const [key = ''] = await page.locator('.copy').allInnerTexts();
    expect([
      (await getAgent(server, unclaimed, unclaimed.api_key)).status,
      (await getAgent(server, unclaimed, key)).status,
    ]).toEqual([401, 200]);
    await page.click('main a.primary');
    await page.click('a[href$="/end"]');
    await checkPage('end-agent', 'Delete Mail helper?');
    await page.click('main button[type=submit]');
    await checkPage('agents-ended', 'Agents');
    await page.goto(`${server.origin}/account`);
    await checkPage('account-with-agent', 'Mara Lindqvist');
  });

  it('show an invitation to signed-out, unverified, other and invited users', async () => {
    const owner = { email: 'ada.okafor@northwind-traders.example', name: 'Ada Okafor', password: PASSWORD };
    const ada = await server.core.accounts.create(owner, systemMeta, { verified: true });
    const { id } = await server.core.organizations.create(ada.id, 'Northwind Traders & Reporting', systemMeta);
    const mara = await server.account('mara.lindqvist+invited@example.com', 'Mara Lindqvist');
    const input = { email: mara.email, role: 'operator' as const };
    await server.core.invitations.create(ada, id, input, systemMeta);
    const link = linkIn(await mailTo(server, mara.email, /invited/)).href;
    const heading = 'Join Northwind Traders & Reporting?';
    await page.goto(link);
    await checkPage('invitation', heading);
    await page.click('main a.primary');
    await signIn(mara.email);
    await checkPage('invitation-unverified', heading);
    await verifyEmail(mara.email);
    const other = await server.account('other.user@example.com', 'Other user');
    await page.goto(
      `${server.origin}/login?return_to=${encodeURIComponent(new URL(link).pathname + new URL(link).search)}`,
    );
    await signIn(other.email);
    await checkPage('invitation-other', heading);
    await page.click('main a.primary');
    await signIn(mara.email);
    await checkPage('invitation-accept', heading);
    await page.click('main button[type=submit]');
    await checkPage('invitation-accepted', 'You are a member of Northwind Traders & Reporting');
    await page.goto(link);
    await checkPage('invitation-used', 'This link is no longer valid');
  });

  it('show the approval requests of agents', async () => {
    await addCapTable(server);
    const agent = await createClaimedAgent(server);
    await page.goto(`${server.origin}/account/approvals`);
    await signIn(agent.ownerEmail);
    await checkPage('approvals-none', 'Approvals');
    await requestApproval(server, agent, agent.ownerEmail);
    await page.goto(`${server.origin}/account`);
    await checkPage('account-with-approval', 'Jane Developer');
    await page.click('a[href="/account/approvals"]');
    await checkPage('approvals', 'Approvals');
    await page.click('button[value=approve]');
    await checkPage('approvals-given', 'Approvals');
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

  it('show the setup of a second factor, with a readable QR code, and ask for the factor at sign-in', async () => {
    const { email } = await server.account('mara.lindqvist+two@example.com', 'Mara Lindqvist');
    await page.goto(`${server.origin}/account/security`);
    await signIn(email);
    await checkPage('security-off', 'Security');
    await page.fill('[name=current_password]', 'a wrong password');
    await page.fill('[name=password]', 'another horse battery');
    await page.click('text=Change password');
    await checkPage('security-wrong', 'Security');
    await page.click('text=Set up');
    const uri = await readQrCode(await page.locator('.qr').screenshot());
    expect(uri).toContain(`otpauth://totp/Signet:${encodeURIComponent(email)}?issuer=Signet&secret=`);
    const app = Authenticator.scan(uri ?? '');
    expect((await page.locator('.key').innerText()).replace(/\s/g, '')).toBe(app.secret);
    await checkPage('factor', 'Set up an authenticator app');
    const enter = async (code: string) => {
      await page.fill('[name=otp]', code);
      await page.click('main button[type=submit]');
    };
    await enter(app.wrongCode());
    await checkPage('factor-wrong', 'Set up an authenticator app');
    await enter(app.code());
    await checkPage('recovery-codes', 'Save your recovery codes');
    const [code = ''] = await page.locator('.codes code').allInnerTexts();
    await page.click('main a.primary');
    await checkPage('security-on', 'Security');
    await page.goto(`${server.origin}/account`);
    await checkPage('account-with-factor', 'Mara Lindqvist');

    await context.clearCookies();
    await page.goto(`${server.origin}/login`);
    await signIn(email);
    await checkPage('login-factor', 'Two-factor authentication');
    await enter(app.wrongCode());
    await checkPage('login-factor-wrong', 'Two-factor authentication');
    await enter(code);
    expect(page.url()).toBe(`${server.origin}/account`);
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

const TELEVISION = 'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/538.1 Version/6.0 TV Safari';
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';
