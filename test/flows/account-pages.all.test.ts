// The account pages, in Chromium without scripts.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { verifyEmail } from '../support/accounts.js';
import { getAgent, onboard } from '../support/agents.js';
import { addCapTable, createClaimedAgent, requestApproval } from '../support/approval-requests.js';
import { Authenticator } from '../support/authenticator.js';
import { launchChromium } from '../support/chromium.js';
import { linkIn, mailTo } from '../support/mailbox.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { type CheckedPage, openCheckedPage, readQrCode, registerClient } from './pages/checked-page.js';

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';

describe('the account pages', () => {
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

  it('show the account and the sign-out', async () => {
    const account = await server.account('mara.lindqvist@example.com', 'Mara Lindqvist');
    const { email } = account;
    const meta = { address: '2001:db8:85a3::8a2e:370:7334', userAgent: IPHONE, requestId: '' };
    const authResult = await server.core.signIn.withPassword({ email, password: PASSWORD }, meta);
    if (authResult.kind === 'complete')
      await server.core.sessionIssuer.startBrowserSession(authResult, undefined, meta);
    const verifiedClient = await server.client({ client_name: 'Acme', client_uri: 'https://acme.example' });
    const unverifiedClient = await registerClient(server);
    const consent = { scopes: ['openid', 'email', 'offline_access'], claims: [], resources: {} };
    await server.core.consents.grant(
      { account },
      verifiedClient.id,
      { ...consent, scopes: ['openid', 'profile', 'email'] },
      meta,
    );
    const resources = { [`${server.issuer}/api/v1`]: ['memory:read', 'agent:write'] };
    await server.core.consents.grant({ account }, unverifiedClient.id, { ...consent, resources }, meta);

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
    await server.core.agents.onboarding.onboardInto(
      northwind.id,
      { account: mara },
      { ...agent, capabilities },
      systemMeta,
    );
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
    await server.base.db.agent.updateMany({ where: { organizationId: northwind.id }, data: { ownerId: null } });
    await page.reload();
    await checkPage('agents-without-owner', 'Agents');
    await page.goto(`${server.origin}/account`);
    await checkPage('account-with-agent', 'Mara Lindqvist');
  });

  it('show an invitation to signed-out, unverified, other and invited users', async () => {
    const owner = { email: 'ada.okafor@northwind-traders.example', name: 'Ada Okafor', password: PASSWORD };
    const ada = await server.core.accounts.create(owner, systemMeta, { verified: true });
    const { id } = await server.core.organizations.create(ada.id, 'Northwind Traders & Reporting', systemMeta);
    const mara = await server.account('mara.lindqvist+invited@example.com', 'Mara Lindqvist');
    const input = { email: mara.email, role: 'operator' as const };
    await server.core.invitations.create({ account: ada }, id, input, systemMeta);
    const link = linkIn(await mailTo(server, mara.email, /invited/)).href;
    const heading = 'Join Northwind Traders & Reporting?';
    await page.goto(link);
    await checkPage('invitation', heading);
    await page.click('main a.primary');
    await signIn(mara.email);
    await checkPage('invitation-unverified', heading);
    await verifyEmail(server, mara.email);
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
    const uri = await readQrCode(browser, await page.locator('.qr').screenshot());
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
});
