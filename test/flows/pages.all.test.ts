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
import { linkIn, mailTo } from '../support/mailbox.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const SIZES = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
];
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** Where to keep a picture of every page, for whoever wants to look at them. */
const PICTURES = process.env.SIGNET_TEST_PICTURES;

describe('the real pages, in Chromium', () => {
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
    context = await browser.newContext({ javaScriptEnabled: false }); // all of this works without
    complaints = [];
    context.on('console', (message) => {
      const failed = message.text().startsWith('Failed to load resource'); // the page itself, answered 4xx
      if (['error', 'warning'].includes(message.type()) && !failed) complaints.push(message.text());
    });
    page = await context.newPage();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await server.close();
  });

  /**
   * Looks at the page that is open: it fits on small and large screens, has one heading and no
   * complaint.
   */
  async function look(name: string, heading: string) {
    expect(await page.locator('h1').allInnerTexts(), name).toEqual([heading]);
    for (const size of SIZES) {
      await page.setViewportSize(size);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const file = `${name}-${size.width}-${colorScheme}.png`;
        if (PICTURES) await page.screenshot({ path: join(PICTURES, file), fullPage: true, animations: 'disabled' });
      }
      expect(await tooWide(), `${name} at ${size.width}`).toEqual([]);
    }
    expect(complaints, name).toEqual([]);
  }

  /** What sticks out of the window to the right. */
  async function tooWide() {
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

  /** What an app reads from a picture of the screen. */
  async function readWithCamera(png: Buffer): Promise<string | undefined> {
    const camera = await browser.newPage();
    const { pixels, width, height } = await camera.evaluate(
      async (src) => {
        const image = new Image();
        image.src = src;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const paper = canvas.getContext('2d')!;
        paper.drawImage(image, 0, 0);
        const { data, width, height } = paper.getImageData(0, 0, image.width, image.height);
        return { pixels: [...data], width, height };
      },
      `data:image/png;base64,${png.toString('base64')}`,
    );
    await camera.close();
    return jsQR.default(Uint8ClampedArray.from(pixels), width, height)?.data;
  }

  /** An app that registered itself, as anybody can. */
  async function stranger() {
    const answer = await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Quarterly Numbers & Reporting for Northwind',
        client_uri: 'https://reports.northwind-traders.example',
        policy_uri: 'https://reports.northwind-traders.example/privacy',
        tos_uri: 'https://reports.northwind-traders.example/terms',
        redirect_uris: ['https://reports.northwind-traders.example/auth/callback/signet'],
        grant_types: ['authorization_code', 'refresh_token'],
      }),
    });
    const { client_id: id } = (await answer.json()) as { client_id: string };
    const redirect_uri = 'https://reports.northwind-traders.example/auth/callback/signet';
    return { id, redirect_uri };
  }

  it('greet, sign in and register', async () => {
    await page.goto(server.origin);
    await look('home', 'Signet');
    await page.goto(`${server.origin}/register`);
    await page.fill('[name=name]', 'Mara Lindqvist');
    await page.fill('[name=email]', (await server.account()).email);
    await page.fill('[name=password]', 'password1234');
    await page.locator('main form').evaluate((form) => form.setAttribute('novalidate', ''));
    await page.click('main button[type=submit]');
    await look('register-errors', 'Create an account');
    await page.goto(`${server.origin}/login`);
    await look('login', 'Sign in');
    await signIn('unknown@example.com');
    await look('login-wrong', 'Sign in');
  });

  it('help who forgot the password, and confirm an address', async () => {
    const { email, id } = await server.account();
    await page.goto(`${server.origin}/forgot-password`);
    await look('forgot-password', 'Forgot your password?');
    await page.fill('[name=email]', email);
    await page.click('main button[type=submit]');
    await look('forgot-password-sent', 'Check your e-mail');
    await page.goto(linkIn(await mailTo(server, email, /Choose/)).href);
    await look('reset-password', 'Choose a new password');
    await page.fill('[name=password]', 'password1234');
    await page.click('main button[type=submit]');
    await look('reset-password-weak', 'Choose a new password');
    await page.fill('[name=password]', 'nine unrelated lanterns');
    await page.click('main button[type=submit]');
    await look('password-set', 'Your new password is set');
    await page.goto(linkIn(await mailTo(server, email, /Choose/)).href);
    await look('link-expired', 'This link is no longer valid');
    await server.base.db.account.update({ where: { id }, data: { emailVerified: false } });
    await server.core.emailVerification.request((await server.core.accounts.findByEmail(email))!);
    await page.goto(linkIn(await mailTo(server, email, /Confirm/)).href);
    await look('verify-email', 'Confirm your address');
    await page.click('main button[type=submit]');
    await look('email-verified', 'Your e-mail address is confirmed');
  });

  it('show the mails of a machine that sends none', async () => {
    const other = await startServer({ settings: { NODE_ENV: 'development', PASSWORD_HASH_COST: '10' } });
    try {
      await page.goto(`${other.origin}/dev/outbox`);
      await look('outbox-empty', 'Outbox');
      const { email } = await other.account();
      await other.core.passwordReset.requestReset(email, systemMeta);
      await mailTo(other, email, /Choose/);
      await page.goto(`${other.origin}/dev/outbox`);
      await look('outbox', 'Outbox');
    } finally {
      await other.close();
    }
  });

  it('set the server up', async () => {
    const token = await server.core.bootstrap.createToken();
    await page.goto(`${server.origin}/setup?token=${token}`);
    await look('setup', 'Set up Signet');
  });

  it('ask for consent', async () => {
    const { email } = await server.account();
    const { id, redirect_uri } = await stranger();
    const scope = 'openid profile email offline_access memory:read memory:write agent:write';
    const more = { redirect_uri, scope, prompt: 'consent', resource: `${server.issuer}/api/v1` };
    await page.goto(authorizeUrl(server, { id }, pkce().challenge, more));
    await look('login-for-app', 'Sign in');
    await signIn(email);
    await look('consent', 'Allow this app to use your Signet account?');
    const { resource: _, ...withoutResource } = more;
    await page.goto(authorizeUrl(server, { id }, pkce().challenge, withoutResource));
    await look('consent-scopes', 'Allow this app to use your Signet account?');
  });

  it('connect a device', async () => {
    const { email } = await server.account();
    const { id } = await server.client({
      client_name: 'Living room',
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
    });
    const start = async () => {
      const body = new URLSearchParams({ client_id: id, scope: 'openid email' });
      const headers = {
        'user-agent': 'Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/538.1 Version/6.0 TV Safari',
      };
      const answer = await fetch(`${server.origin}/oauth/device`, { method: 'POST', body, headers });
      return (await answer.json()) as { user_code: string };
    };
    const enter = async (code: string) => {
      await page.goto(`${server.origin}/device`);
      await page.fill('[name=user_code]', code);
      await page.click('main button[type=submit]');
    };
    await page.goto(`${server.origin}/device`);
    await look('device-input', 'Connect a device');
    await enter('WXYZ-WXYZ');
    await look('device-input-wrong', 'Connect a device');
    await enter((await start()).user_code);
    await look('device-confirm', 'Is this the code on your device?');
    await page.click('button[name=confirm]');
    await signIn(email);
    await page.click('button[value=allow]');
    await look('device-done', 'Your device is connected');
    await enter((await start()).user_code);
    await page.click('button[name=abort]');
    await look('device-denied', 'The device was not connected');
  });

  it('show a person their account, and sign them out', async () => {
    const { email, id: accountId } = await server.account('mara.lindqvist@example.com', 'Mara Lindqvist');
    const meta = { address: '2001:db8:85a3::8a2e:370:7334', userAgent: IPHONE, requestId: '' };
    const authResult = await server.core.signIn.withPassword({ email, password: PASSWORD }, meta);
    if (authResult.kind === 'complete')
      await server.core.sessionIssuer.startBrowserSession(authResult, undefined, meta);
    const known = await server.client({ client_name: 'Acme', client_uri: 'https://acme.example' });
    const unknown = await stranger();
    const api = { scopes: ['openid', 'email', 'offline_access'], claims: [], resources: {} };
    await server.core.consents.grant(accountId, known.id, { ...api, scopes: ['openid', 'profile', 'email'] }, meta);
    const resources = { [`${server.issuer}/api/v1`]: ['memory:read', 'agent:write'] };
    await server.core.consents.grant(accountId, unknown.id, { ...api, resources }, meta);

    await page.goto(`${server.origin}/account`);
    await signIn(email);
    await look('account', 'Mara Lindqvist');
    await page.click('form[action="/account/verify-email"] button');
    await look('account-link-sent', 'Mara Lindqvist');
    await page.goto(server.origin);
    await look('home-signed-in', 'Signet');
    await page.goto(`${server.origin}/logout`);
    await look('sign-out', 'Sign out of Signet?');
    await page.goto(`${server.origin}/oauth/logout?client_id=${known.id}`);
    await look('logout-from-app', 'Do you want to sign out of Signet?');
    await page.click('button[name=logout]');
    await look('logged-out', 'You are signed out');
    await page.goto(`${server.origin}/logout`);
    await look('signed-out', 'You are signed out');
  });

  it('show a person their API keys', async () => {
    const { email, id } = await server.account('mara.lindqvist+keys@example.com', 'Mara Lindqvist');
    const northwind = await server.core.organizations.create(id, 'Northwind Traders & Reporting', systemMeta);
    const project = await server.core.projects.create({ accountId: id }, northwind.id, 'Quarterly numbers', systemMeta);
    await page.goto(`${server.origin}/account/keys`);
    await signIn(email);
    await look('keys-none', 'API keys');
    await page.click('main a.primary');
    await look('new-key', 'New API key');
    await page.fill('[name=name]', '–');
    await page.click('main button[type=submit]');
    await look('new-key-wrong', 'New API key');
    await page.fill('[name=name]', 'Nightly build of the reporting service');
    await page.selectOption('[name=place]', project.id);
    await page.selectOption('[name=role]', 'operator');
    await page.check('[name="scope.memory:read"]');
    await page.check('[name="scope.read:financials"]');
    await page.click('main button[type=submit]');
    await look('key-made', 'Save this key');
    const [key = ''] = await page.locator('.copy').allInnerTexts();
    expect((await fetch(`${server.origin}/api/v1/auth/me`, { headers: { 'x-api-key': key } })).status).toBe(200);
    await page.click('main a.primary');
    await look('keys', 'API keys');
    await page.click('text=Replace');
    await look('replace-key', 'Replace Nightly build of the reporting service?');
    await page.click('main button[type=submit]');
    await look('key-replaced', 'Save this key');
    await page.click('main a.primary');
    await page.click('text=Revoke');
    await look('revoke-key', 'Revoke Nightly build of the reporting service?');
    await page.click('main button[type=submit]');
    await look('keys-revoked', 'API keys');
    await page.goto(`${server.origin}/account`);
    await look('account-with-key', 'Mara Lindqvist');
  });

  it('show a person the agents of their organizations', async () => {
    const { email, id } = await server.account('mara.lindqvist+agents@example.com', 'Mara Lindqvist');
    const mara = (await server.core.accounts.find(id))!;
    await page.goto(`${server.origin}/account/agents`);
    await signIn(email);
    await look('agents-none', 'Agents');
    const stray = await onboard(server, { agent_id: 'stray', agent_name: 'Stray helper' });
    await page.goto(stray.claim_url!);
    await look('claim-agent', 'Claim Stray helper?');
    await page.click('main button[type=submit]');
    await look('agent-claimed', 'You have claimed Stray helper');
    const northwind = await server.core.organizations.create(id, 'Northwind Traders & Reporting', systemMeta);
    const capabilities = server.core.resources.capabilities().map(({ name }) => name);
    const wanted = {
      agentId: 'cap-table.automation:nightly@reporting',
      name: 'Cap table automation of the reporting service',
    };
    await server.core.agents.onboarding.onboardInto(northwind.id, mara, { ...wanted, capabilities }, systemMeta);
    await page.click('main a.primary');
    await look('agents', 'Agents');
    await page.click('text=Replace key');
    await look('replace-agent-key', 'Replace the key of Stray helper?');
    await page.click('main button[type=submit]');
    await look('agent-key', 'Save this key');
    const [key = ''] = await page.locator('.copy').allInnerTexts();
    expect([
      (await getAgent(server, stray, stray.api_key)).status,
      (await getAgent(server, stray, key)).status,
    ]).toEqual([401, 200]);
    await page.click('main a.primary');
    await page.click('a[href$="/end"]');
    await look('end-agent', 'Delete Stray helper?');
    await page.click('main button[type=submit]');
    await look('agents-ended', 'Agents');
    await page.goto(`${server.origin}/account`);
    await look('account-with-agent', 'Mara Lindqvist');
  });

  it('tell of an invitation, whoever reads it', async () => {
    const ada = await server.account('ada.okafor@northwind-traders.example', 'Ada Okafor');
    await server.base.db.account.update({ where: { id: ada.id }, data: { emailVerified: true } });
    const { id } = await server.core.organizations.create(ada.id, 'Northwind Traders & Reporting', systemMeta);
    const mara = await server.account('mara.lindqvist+invited@example.com', 'Mara Lindqvist');
    const input = { email: mara.email, role: 'operator' as const };
    await server.core.invitations.create({ ...ada, emailVerified: true }, id, input, systemMeta);
    const link = linkIn(await mailTo(server, mara.email, /invited/)).href;
    const heading = 'Join Northwind Traders & Reporting?';
    await page.goto(link);
    await look('invitation', heading);
    await page.click('main a.primary');
    await signIn(mara.email);
    await look('invitation-unverified', heading);
    await server.base.db.account.update({ where: { id: mara.id }, data: { emailVerified: true } });
    await server.base.invalidationBus.publish('accounts', mara.id);
    const other = await server.account('somebody.else@example.com', 'Somebody');
    await page.goto(
      `${server.origin}/login?return_to=${encodeURIComponent(new URL(link).pathname + new URL(link).search)}`,
    );
    await signIn(other.email);
    await look('invitation-other', heading);
    await page.click('main a.primary');
    await signIn(mara.email);
    await look('invitation-accept', heading);
    await page.click('main button[type=submit]');
    await look('invitation-accepted', 'You are a member of Northwind Traders & Reporting');
    await page.goto(link);
    await look('invitation-used', 'This link is no longer valid');
  });

  it('ask a person what an agent wants to be allowed', async () => {
    await addCapTable(server);
    const agent = await createClaimedAgent(server);
    await page.goto(`${server.origin}/account/approvals`);
    await signIn(agent.ownerEmail);
    await look('approvals-none', 'Approvals');
    await requestApproval(server, agent, agent.ownerEmail);
    await page.goto(`${server.origin}/account`);
    await look('account-with-approval', 'Jane Developer');
    await page.click('a[href="/account/approvals"]');
    await look('approvals', 'Approvals');
    await page.click('button[value=approve]');
    await look('approvals-given', 'Approvals');
  });

  it('look as they should in a mail as well', async () => {
    const { render } = createMailTemplates({ brandName: 'Signet', issuer: server.issuer });
    const happening = {
      device: 'Firefox on Linux',
      address: '2001:db8:85a3::8a2e:370:7334',
      at: '22 November 2026 at 13:20 UTC',
    };
    const token = 'kJ3v9sQ1rT7yB2nM5xW8cL0pD4hJ6gFaZkq1wE2rT3y';
    const letters = {
      'verify-email': render('verify-email', { token }),
      'reset-password': render('reset-password', { token }),
      'password-changed': render('password-changed', happening),
      'new-device': render('new-device', happening),
      'provider-linked': render('provider-linked', { ...happening, provider: 'GitHub', by: 'email' }),
      'approval-requested': render('approval-requested', { agent: 'Cap Table Automation' }),
      invitation: render('invitation', { token, inviter: 'ada.okafor@northwind-traders.example', role: 'operator' }),
    };
    for (const [name, { subject, html }] of Object.entries(letters)) {
      await page.setContent(html);
      await look(`mail-${name}`, subject);
    }
  });

  it('set up a second factor by what a camera reads from the screen, and ask for it', async () => {
    const { email } = await server.account('mara.lindqvist+two@example.com', 'Mara Lindqvist');
    await page.goto(`${server.origin}/account/security`);
    await signIn(email);
    await look('security-off', 'Security');
    await page.fill('[name=current_password]', 'a wrong password');
    await page.fill('[name=password]', 'another horse battery');
    await page.click('text=Change password');
    await look('security-wrong', 'Security');
    await page.click('text=Set up');
    const seen = await readWithCamera(await page.locator('.qr').screenshot());
    expect(seen).toContain(`otpauth://totp/Signet:${encodeURIComponent(email)}?issuer=Signet&secret=`);
    const app = Authenticator.scan(seen ?? '');
    expect((await page.locator('.key').innerText()).replace(/\s/g, '')).toBe(app.secret);
    await look('factor', 'Set up an authenticator app');
    const enter = async (code: string) => {
      await page.fill('[name=otp]', code);
      await page.click('main button[type=submit]');
    };
    await enter(app.wrongCode());
    await look('factor-wrong', 'Set up an authenticator app');
    await enter(app.code());
    await look('recovery-codes', 'Save your recovery codes');
    const [code = ''] = await page.locator('.codes code').allInnerTexts();
    await page.click('main a.primary');
    await look('security-on', 'Security');
    await page.goto(`${server.origin}/account`);
    await look('account-with-factor', 'Mara Lindqvist');

    await context.clearCookies();
    await page.goto(`${server.origin}/login`);
    await signIn(email);
    await look('login-factor', 'Two-factor authentication');
    await enter(app.wrongCode());
    await look('login-factor-wrong', 'Two-factor authentication');
    await enter(code);
    expect(page.url()).toBe(`${server.origin}/account`);
  });

  it('tell what is wrong', async () => {
    await page.goto(`${server.origin}/nowhere`);
    await look('not-found', 'Page not found');
    await page.goto(`${server.origin}/oauth/authorize?client_id=nobody&response_type=code`);
    await look('sign-in-failed', 'Sign-in failed');
    await page.goto(`${server.origin}/setup?token=used`);
    await look('setup-used', 'Something went wrong');
    await page.goto(`${server.origin}/interaction/old`);
    await look('interaction-expired', 'Something went wrong');
  });
});

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';
