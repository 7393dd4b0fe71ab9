// Time tells nothing: asking for a link takes as long for an address that nobody has. The account
// is looked for after the answer.
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { call } from '../../support/api.js';
import { mailTo } from '../../support/mailbox.js';
import { startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ settings: { RATE_LIMIT_ANONYMOUS: '0' } });
});
afterAll(() => server.close());

it('answers before it looks for the account, and looks for it all the same', async () => {
  const { email } = await server.account();
  const looked = vi.spyOn(server.core.accounts, 'findByEmail');
  for (const [n, asked] of [email, 'nobody@example.com'].entries()) {
    const answer = await call(server, 'POST', '/auth/forgot-password', { body: { email: asked } });
    expect([answer.status, looked.mock.calls.length]).toEqual([202, n]);
    await vi.waitFor(() => expect(looked).toHaveBeenCalledTimes(n + 1));
  }
  expect((await mailTo(server, email, /Choose/)).to).toBe(email);
});
