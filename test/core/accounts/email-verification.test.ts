// Verification of e-mail addresses by mailed links.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Account } from '../../../src/core/accounts/accounts.js';
import { changeAccount } from '../../support/accounts.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { movableClock } from '../../support/movable-clock.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const DAY_MS = 86_400_000;

describe.each(stores)('e-mail verification on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  let accounts = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  async function register(name = 'Jane') {
    accounts += 1;
    const input = { email: `new${accounts}@example.com`, name, password: PASSWORD };
    const { account } = await server.core.signIn.register(input, systemMeta);
    return account;
  }
  const tokenTo = async (email: string) => tokenIn(await mailTo(server, email, /Confirm/));
  const isVerified = async (id: string) =>
    (await server.base.db.account.findUniqueOrThrow({ where: { id } })).emailVerified;
  const verify = (token: string, account: Account) =>
    server.core.emailVerification.verify(token, { account }, systemMeta);
  const invalidToken = { status: 401, code: 'invalid_token' };

  it('mails a link at registration that can be used once, even in 20 concurrent requests', async () => {
    const account = await register();
    const { id, email } = account;
    const token = await tokenTo(email);
    expect(await server.core.emailVerification.accountOf(token)).toMatchObject({ id });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => verify(token, account)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject(invalidToken);
    expect(await isVerified(id)).toBe(true);
    expect(await server.core.accounts.find(id)).toMatchObject({ emailVerified: true });
    expect(await server.core.emailVerification.accountOf(token)).toBeUndefined();
    const events = await server.core.audit.list({ accountId: id, action: 'email.verified' });
    expect(events).toHaveLength(1);
  });

  it('accepts only the newest link', async () => {
    const account = await register();
    const first = await tokenTo(account.email);
    await server.core.emailVerification.request(account);
    const second = await tokenTo(account.email);
    await expect(verify(first, account)).rejects.toMatchObject(invalidToken);
    await verify(second, account);
    expect(await isVerified(account.id)).toBe(true);
  });

  it('rejects a link after the e-mail address was changed', async () => {
    const account = await register();
    const { id, email } = account;
    const token = await tokenTo(email);
    await changeAccount(server, id, { email: `moved-${email}` });
    await expect(verify(token, account)).rejects.toMatchObject(invalidToken);
    expect(await isVerified(id)).toBe(false);
  });

  it('rejects expired and invalid tokens, and tokens for other purposes', async () => {
    const account = await register();
    const { id, email } = account;
    const token = await tokenTo(email);
    await server.core.passwordReset.requestReset(email, systemMeta);
    const resetToken = tokenIn(await mailTo(server, email, /password/));
    for (const wrong of [resetToken, 'x', '']) await expect(verify(wrong, account)).rejects.toMatchObject(invalidToken);
    await later(DAY_MS + 1000, () => expect(verify(token, account)).rejects.toMatchObject(invalidToken));
    expect(await isVerified(id)).toBe(false);
    expect(await server.core.passwordReset.isValid(resetToken)).toBe(true);
  });

  it('does not verify the address for the user of another account', async () => {
    const { id, email } = await register();
    await expect(verify(await tokenTo(email), await register())).rejects.toMatchObject(invalidToken);
    expect(await isVerified(id)).toBe(false);
  });

  it('limits the number of links per hour', async () => {
    const account = await register();
    for (let n = 0; n < 3; n += 1) await server.core.emailVerification.request(account);
    await expect(server.core.emailVerification.request(account)).rejects.toMatchObject({ status: 429 });
    expect(await mailsTo(server, account.email)).toHaveLength(4);
  });

  it('omits the name of the account from a mail to an unverified address', async () => {
    const { email } = await register('Win now: http://evil.example');
    const mail = await mailTo(server, email, /Confirm/);
    expect(JSON.stringify(mail)).not.toContain('evil');
  });

  it('stores only the hash of the token', async () => {
    const { email } = await register();
    const token = await tokenTo(email);
    const rows = await server.base.db.oneTimeToken.findMany();
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain(token);
  });
});
