// Accounts and their passwords.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPasswords } from '../../../src/core/accounts/passwords.js';
import { systemCaller } from '../../../src/core/caller.js';
import { type House, openHouse, PASSWORD } from '../../support/house.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('accounts on $name', (store) => {
  let house: House;
  beforeAll(async () => {
    house = await openHouse({ store });
  });
  afterAll(() => house.close());

  const create = (email: string, more: object = {}) =>
    house.core.accounts.create({ email, password: PASSWORD, ...more }, systemCaller);

  it('are one for each e-mail address, though 10 register at once', async () => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => create('race@example.com')));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 409, code: 'conflict' });
    }
    expect(await house.base.db.account.count({ where: { email: 'race@example.com' } })).toBe(1);
    const organizations = await house.base.db.organization.findMany({ where: { name: 'race@example.com' } });
    expect(organizations).toHaveLength(1);
    expect(organizations[0]!.id).toMatch(/^co_/);
  });

  it('are found by their address however it is written', async () => {
    const { id } = await create(' Mixed.Case@Example.COM ');
    for (const written of ['mixed.case@example.com', 'MIXED.CASE@EXAMPLE.COM', ' Mixed.Case@example.com']) {
      expect((await house.core.accounts.findByEmail(written))?.id).toBe(id);
      await expect(create(written)).rejects.toMatchObject({ status: 409 });
    }
    expect((await create('jose\u0301@example.com')).email).toBe('jos\u00e9@example.com');
  });

  it.each([
    '',
    'x',
    '@example.com',
    'a@b',
    'a b@example.com',
    'a@exa mple.com',
    'a@@example.com',
    '<a@example.com>',
    'a,b@example.com',
    `${'x'.repeat(250)}@example.com`,
    'a@example.com\r\nBcc: b@example.com',
  ])('refuse the address %j', async (email) => {
    await expect(create(email)).rejects.toMatchObject({ status: 400, fields: { email: expect.any(String) } });
  });

  it('refuse names with control characters, and names without end', async () => {
    for (const name of ['a\u0000b', 'a\nb', 'x'.repeat(201)]) {
      await expect(create('name@example.com', { name })).rejects.toMatchObject({
        fields: { name: expect.any(String) },
      });
    }
  });

  it('tell all that is wrong at once', async () => {
    const refusal = await create('x', { password: 'x', name: 'x'.repeat(201) }).catch((error) => error);
    expect(Object.keys(refusal.fields).sort()).toEqual(['email', 'name', 'password']);
  });
});

describe('passwords', () => {
  const passwords = createPasswords({ cost: 4 });
  const faultOf = (password: string) => passwords.fault(password, 'jane@example.com');

  it('count whole, beyond the 72 bytes of bcrypt', async () => {
    const base = 'x'.repeat(80);
    const stored = await passwords.hash(`${base}one`);
    expect(await passwords.verify(`${base}one`, stored)).toBe(true);
    expect(await passwords.verify(`${base}two`, stored)).toBe(false);
    expect(await passwords.verify(base, stored)).toBe(false);
    const nul = await passwords.hash('before\u0000after');
    expect(await passwords.verify('before\u0000other', nul)).toBe(false);
    expect(stored).not.toContain('x'.repeat(10));
    expect(await passwords.hash(`${base}one`)).not.toBe(stored);
  });

  it('are the same however their characters are put together', async () => {
    const stored = await passwords.hash('pass\u00e9 w\u00f6rter');
    expect(await passwords.verify('passe\u0301 wo\u0308rter', stored)).toBe(true);
    expect(await passwords.verify('passe worter', stored)).toBe(false);
    expect(await passwords.verify('ｆｕｌｌｗｉｄｔｈ', await passwords.hash('fullwidth'))).toBe(true);
  });

  it.each([
    'short',
    '1234567',
    'password',
    'PASSWORD',
    'Password1',
    'qwertyuiop',
    '11111111',
    'ééééééééé',
    'jane@example.com',
    'JANE@example.com',
    'x'.repeat(1025),
    'ｐａｓｓｗｏｒｄ',
  ])('are not %j', (password) => {
    expect(faultOf(password)).toEqual(expect.any(String));
  });

  it.each(['correct horse battery', 'jäger und hörnchen', '🐢🐇🐢🐇🐢🐇🐢🐇', 'no digit no sign'])(
    'may be %j',
    (password) => {
      expect(faultOf(password)).toBeUndefined();
    },
  );

  it('are wrong where none is stored, or one of another scheme', async () => {
    for (const stored of [null, undefined, '', '$2b$04$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx']) {
      expect(await passwords.verify('anything', stored)).toBe(false);
    }
  });

  it('refuse beyond the bound of their queue, and go on afterwards', async () => {
    const slow = createPasswords({ cost: 4 });
    const results = await Promise.allSettled(Array.from({ length: 300 }, () => slow.verify('x', null)));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused.length).toBeGreaterThan(100);
    expect(refused.length).toBeLessThan(300);
    expect(refused[0]).toMatchObject({ status: 503, retryAfterSeconds: expect.any(Number) });
    expect(await slow.verify('x', null)).toBe(false);
  });
});
