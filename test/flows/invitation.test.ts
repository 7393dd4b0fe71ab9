// Invitations to an organization by mail: for users with an account, with another account, and
// without one.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser, formsOf } from '../support/browser.js';
import { linkIn, mailTo } from '../support/mailbox.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe('an invitation', () => {
  let server: TestServer;
  let organization: string;
  let inviterId: string;
  beforeAll(async () => {
    server = await startServer();
    const inviter = await createVerifiedAccount('ada@example.com', 'Ada Okafor');
    inviterId = inviter.id;
    organization = (await server.core.organizations.create(inviter.id, 'Northwind', systemMeta)).id;
  });
  afterAll(() => server.close());

  const createVerifiedAccount = (email: string, name = 'Jane') =>
    server.core.accounts.create({ email, name, password: PASSWORD }, systemMeta, { verified: true });

  /** Invites the address. Returns the path of the link in the mail. */
  async function invite(email: string): Promise<string> {
    const inviter = (await server.core.accounts.find(inviterId))!;
    await server.core.invitations.create({ account: inviter }, organization, { email, role: 'operator' }, systemMeta);
    const link = linkIn(await mailTo(server, email, /invited/));
    expect(link.origin).toBe(server.issuer);
    return link.pathname + link.search;
  }
  const roleOf = async (email: string) => {
    const { id } = (await server.core.accounts.findByEmail(email))!;
    return server.core.organizations.roleOf({ accountId: id }, organization);
  };
  const linkOn = (html: string, text: string) =>
    new RegExp(`href="([^"]+)">${text}<`).exec(html)?.[1]?.replaceAll('&amp;', '&') ?? '';

  it('names the organization and the inviter, leads to the sign-in and invitation, and is accepted with a button', async () => {
    const { email } = await createVerifiedAccount('mara@example.com');
    const path = await invite(email);
    const browser = new Browser(server.origin);
    const page = await browser.open(path);
    expect(page.status).toBe(200);
    for (const text of ['Northwind', 'Ada Okafor', 'ada@example.com', 'operator', email]) {
      expect(page.html).toContain(text);
    }
    expect([page.headers.get('referrer-policy'), page.headers.get('cache-control')]).toEqual([
      'no-referrer',
      'no-store',
    ]);
    const login = await browser.open(linkOn(page.html, 'Sign in'));
    expect([login.url.pathname, formsOf(login.html)[0]!.fields.email]).toEqual(['/login', email]);
    const invitation = await browser.signIn(email, PASSWORD, login);
    expect(invitation.url.pathname + invitation.url.search).toBe(path);
    expect(await roleOf(email)).toBeUndefined();
    expect((await browser.submit(invitation, { csrf: 'x' })).status).toBe(403);
    const joined = await browser.submit(invitation);
    expect([joined.status, joined.html]).toEqual([200, expect.stringContaining('You are a member of Northwind')]);
    expect(await roleOf(email)).toBe('operator');
    for (const used of [await browser.open(path), await browser.submit(invitation)]) {
      expect([used.status, used.html]).toEqual([404, expect.stringContaining('This link is no longer valid')]);
    }
  });

  it('leads a user without an account to the registration, and needs a verified address', async () => {
    const email = 'new@example.com';
    const path = await invite(email);
    const browser = new Browser(server.origin);
    const form = await browser.open(linkOn((await browser.open(path)).html, 'Create an account'));
    expect([form.url.pathname, formsOf(form.html)[0]!.fields.email]).toEqual(['/register', email]);
    const unverified = await browser.submit(form, { name: 'New user', password: PASSWORD });
    expect(unverified.url.pathname + unverified.url.search).toBe(path);
    expect(unverified.html).toContain(`First confirm that ${email} is your address`);
    expect(unverified.html).not.toContain('action="/invitations/accept"');
    expect((await browser.submit(unverified)).html).toContain('We sent you a link');

    const confirm = linkIn(await mailTo(server, email, /Confirm/));
    await browser.submit(await browser.open(confirm.pathname + confirm.search));
    const joined = await browser.submit(await browser.open(path));
    expect(joined.html).toContain('You are a member of Northwind');
    expect(await roleOf(email)).toBe('operator');
  });

  it('can be accepted only by the invited user, and offers another user to switch accounts', async () => {
    const [{ email }, other] = [
      await createVerifiedAccount('right@example.com'),
      await createVerifiedAccount('wrong@example.com'),
    ];
    const path = await invite(email);
    const browser = new Browser(server.origin);
    await browser.signIn(other.email, PASSWORD);
    const page = await browser.open(path);
    expect(page.html).toMatch(/signed in as <strong>wrong@example\.com/);
    expect(page.html).not.toContain('action="/invitations/accept"');
    const [signOut] = formsOf((await browser.open('/account')).html);
    const token = new URL(path, server.origin).searchParams.get('token')!;
    const forced = await browser.open('/invitations/accept', {
      method: 'POST',
      body: new URLSearchParams({ csrf: signOut!.fields.csrf!, token }),
    });
    expect(forced.url.pathname + forced.url.search).toBe(path);
    expect(await roleOf(other.email)).toBeUndefined();
    const invitation = await browser.signIn(
      email,
      PASSWORD,
      await browser.open(linkOn(page.html, 'Use another account')),
    );
    expect((await browser.submit(invitation)).html).toContain('You are a member of Northwind');
    expect(await roleOf(email)).toBe('operator');
  });

  it('asks a user who was signed out to sign in, and is not consumed by being viewed', async () => {
    const { email } = await createVerifiedAccount('idle@example.com');
    const path = await invite(email);
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const page = await browser.open(path);
    await browser.submit(await browser.open('/logout'));
    const again = await browser.submit(page);
    expect([again.status, again.html]).toEqual([200, expect.stringContaining('Create an account')]);
    for (let n = 0; n < 3; n += 1) expect((await new Browser(server.origin).open(path)).status).toBe(200);
    const unknown = await browser.open('/invitations/accept?token=x');
    expect([unknown.status, unknown.html]).toEqual([404, expect.stringContaining('Ask for a new one')]);
    expect(server.lines.join('\n')).not.toContain(new URL(path, server.origin).searchParams.get('token'));
  });
});
