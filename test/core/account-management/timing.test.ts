// Response times do not reveal whether an account exists.

import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { mailTo } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ settings: { RATE_LIMIT_ANONYMOUS: '0' } });
});
afterAll(() => server.close());

it('a password reset request is answered before the account is looked up', async () => {
  const { email } = await server.account();
  const findByEmail = vi.spyOn(server.core.accounts, 'findByEmail');
  for (const [n, address] of [email, 'unknown@example.com'].entries()) {
    const response = await callApi(server, 'POST', '/auth/forgot-password', { body: { email: address } });
    expect([response.status, findByEmail.mock.calls.length]).toEqual([202, n]);
    await vi.waitFor(() => expect(findByEmail).toHaveBeenCalledTimes(n + 1));
  }
  expect((await mailTo(server, email, /Choose/)).to).toBe(email);
});
