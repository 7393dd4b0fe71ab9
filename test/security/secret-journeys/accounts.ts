// Journeys of users: setup, registration, recovery, invitation and the second factor.
import { systemMeta } from '../../../src/base/request-meta.js';
import { Authenticator } from '../../support/authenticator.js';
import { Browser } from '../../support/browser.js';
import { linkIn, mailTo } from '../../support/mailbox.js';
import { type Journey, withoutTable } from './secrets.js';

const RECOVERING_EMAIL = 'recovering@example.com';

export async function setUp({ server, secrets }: Journey) {
  const setupToken = secrets.keep('setup token', await server.core.bootstrap.createToken());
  const browser = new Browser(server.origin);
  const page = await browser.open(`/setup?token=${setupToken}`);
  const fields = { email: 'admin@example.com', name: 'Admin', password: secrets.create('password of the admin') };
  await browser.submit(page, { ...fields, email: 'invalid' });
  await browser.submit(page, { ...fields, password: secrets.keep('short password', 'qx7Zk!2b') });
  await browser.submit(page, fields);
  await browser.open(`/setup?token=${setupToken}`); // used
  await browser.submit(page, fields);
  secrets.keepCookies(browser);
}

export async function register({ server, secrets }: Journey, browser: Browser, email: string, password: string) {
  const form = await browser.open('/register');
  await browser.submit(form, { email: 'invalid', name: 'Jane', password });
  await browser.submit(form, { email, name: 'Jane', password });
  secrets.keepCookies(browser);
  await browser.submit(form, { email, name: 'Jane', password: secrets.create('password for an existing account') });
  const otherBrowser = new Browser(server.origin);
  await otherBrowser.signIn(email, secrets.create('wrong password'));
  await otherBrowser.signIn(secrets.create('password in the e-mail field'), email);
  await otherBrowser.signIn('unknown@example.com', secrets.create('password for an unknown account'));
  await otherBrowser.signIn(email, password);
  secrets.keepCookies(otherBrowser);
}

/** Verifies an e-mail address, then resets and changes the password, in pages and in the API. */
export async function recover(journey: Journey) {
  const { server, secrets, sendJson } = journey;
  const email = RECOVERING_EMAIL;
  const browser = new Browser(server.origin);
  const first = { email, name: 'Fay', password: secrets.create('forgotten password') };
  await browser.submit(await browser.open('/register'), first);
  const openLink = async (subject: RegExp) => {
    const link = linkIn(await mailTo(server, email, subject));
    secrets.keep('mailed token', link.searchParams.get('token'));
    return browser.open(link.pathname + link.search);
  };
  const verification = await openLink(/Confirm/);
  await browser.submit(verification, { password: secrets.create('wrong password at verification') });
  await browser.submit(verification);
  await browser.submit(verification); // used
  await browser.submit(await browser.open('/forgot-password'), { email });
  const reset = await openLink(/Choose/);
  await browser.submit(reset, { password: secrets.keep('rejected password', 'qqqqqqqqqqqq') });
  await browser.submit(reset, { password: secrets.create('password'), csrf: secrets.create('forged csrf') });
  await withoutTable(server, 'OneTimeToken', async () => {
    await browser.submit(reset, { password: secrets.create('password during an outage') });
    await browser.submit(await browser.open('/forgot-password'), { email });
    await server.base.background.waitUntilIdle();
  });
  const password = secrets.create('new password');
  await browser.submit(reset, { password });
  await browser.submit(reset, { password }); // used
  await browser.signIn(email, password);
  secrets.keepCookies(browser);

  const post = (path: string, body: object, token?: string) => sendJson(`/api/v1/auth/${path}`, { body, token });
  await post('reset-password', { token: secrets.create('wrong token'), new_password: password });
  await post('verify-email', { token: secrets.create('wrong token') });
  const { access_token: token } = secrets.keepTokens(await post('login-json', { email, password }));
  const change = { current_password: password, new_password: secrets.create('changed password') };
  await post('change-password', { ...change, current_password: secrets.create('wrong password') }, token);
  await post('change-password', change, token);
  await post('forgot-password', { email: secrets.create('password in the e-mail field') });
}

/** Accepts an invitation with its link, after wrong tokens and an outage. */
export async function acceptInvitation(journey: Journey) {
  const { server, secrets, sendJson } = journey;
  const { core } = server;
  const [email, password] = ['invited@example.com', secrets.create('password of an invited user')];
  const inviter = (await core.accounts.findByEmail(RECOVERING_EMAIL))!;
  const organization = await core.organizations.personalOrganizationId(inviter.id);
  await core.accounts.create({ email, password }, systemMeta, { verified: true });
  await core.invitations.create({ account: inviter }, organization, { email, role: 'viewer' }, systemMeta);
  const link = linkIn(await mailTo(server, email, /invited/));
  secrets.keep('invitation', link.searchParams.get('token'));
  const browser = new Browser(server.origin);
  const page = await browser.open(link.pathname + link.search);
  const login = /href="(\/login[^"]+)"/.exec(page.html)![1]!.replaceAll('&amp;', '&');
  const invitation = await browser.signIn(email, password, await browser.open(login));
  await browser.submit(invitation, { token: secrets.create('wrong invitation') });
  await withoutTable(server, 'Invitation', () => browser.submit(invitation));
  await browser.submit(invitation);
  await browser.submit(invitation); // used
  secrets.keepCookies(browser);
  const { access_token: token } = secrets.keepTokens(
    await sendJson('/api/v1/auth/login-json', { body: { email, password } }),
  );
  const body = { token: secrets.create('wrong invitation in the API') };
  await sendJson('/api/v1/invitations/accept', { body, token });
}

export async function useSecondFactor({ server, secrets, sendJson }: Journey) {
  const [email, password] = ['factor@example.com', secrets.create('password with a second factor')];
  const browser = new Browser(server.origin);
  await browser.submit(await browser.open('/register'), { email, name: 'Jane', password });
  const page = await browser.submit(await browser.open('/account/security'), {}, 1);
  const account = (await server.core.accounts.findByEmail(email))!;
  const app = new Authenticator(
    secrets.keep('TOTP secret', (await server.core.mfa.pendingEnrollment(account))!.secret),
  );
  secrets.keepAs('TOTP secret in groups', app.secret.match(/.{4}/g)!.join(' '));
  await browser.submit(page, { otp: secrets.create('invalid TOTP code') }, 1);
  const { html } = await browser.submit(page, { otp: app.code() }, 1);
  const codes = [...html.matchAll(/<code>([\d-]+)<\/code>/g)].map(([, code]) => secrets.keep('recovery code', code));
  for (const code of codes) secrets.keepAs('recovery code without dashes', code.replaceAll('-', ''));

  const otherBrowser = new Browser(server.origin);
  const factor = await otherBrowser.signIn(email, password);
  secrets.keep('challenge', /name="challenge" value="([^"]+)"/.exec(factor.html)?.[1]);
  await otherBrowser.submit(factor, { otp: secrets.keep('wrong recovery code', '9999-9999-9999-9999-9999-9999') });
  await otherBrowser.submit(factor, {
    otp: secrets.create('secret in the code field'),
    challenge: secrets.create('wrong challenge'),
  });
  await otherBrowser.submit(factor, { otp: codes[0]! });
  await otherBrowser.submit(factor, { otp: codes[0]! }); // used
  secrets.keepCookies(otherBrowser);

  const post = (path: string, body?: object, token?: string) => sendJson(`/api/v1/auth/${path}`, { body, token });
  await post('login', { email, password, otp: codes[0] });
  const { access_token: token } = secrets.keepTokens(await post('login-json', { email, password, otp: codes[1] }));
  await post('reauth', { otp: secrets.create('wrong otp for reauth') }, token);
  await post('reauth', { password: secrets.create('password for reauth') }, token);
  await post('mfa/totp/confirm', { otp: codes[2] }, token);
  await post('mfa/recovery-codes', undefined, token);
  await sendJson('/api/v1/auth/mfa/totp', { token, method: 'DELETE' });
}
