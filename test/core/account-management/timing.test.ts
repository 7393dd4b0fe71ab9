// Time tells nothing: asking for a link takes as long for an address that nobody has. The account is looked for after the answer.
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { call } from '../../support/api.js';
import { mailTo } from '../../support/mailbox.js';
import { type House, openHouse } from '../../support/server.js';

let house: House;
beforeAll(async () => {
  house = await openHouse({ settings: { RATE_LIMIT_ANONYMOUS: '0' } });
});
afterAll(() => house.close());

it('answers before it looks for the account, and looks for it all the same', async () => {
  const { email } = await house.account();
  const looked = vi.spyOn(house.core.accounts, 'findByEmail');
  for (const [n, asked] of [email, 'nobody@example.com'].entries()) {
    const answer = await call(house, 'POST', '/auth/forgot-password', { body: { email: asked } });
    expect([answer.status, looked.mock.calls.length]).toEqual([202, n]);
    await vi.waitFor(() => expect(looked).toHaveBeenCalledTimes(n + 1));
  }
  expect((await mailTo(house, email, /Choose/)).to).toBe(email);
});
