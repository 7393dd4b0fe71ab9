// Imported password hashes, or hashes of another cost, are replaced at the next sign-in.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPasswords } from '../../../src/core/accounts/passwords.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { Browser } from '../../support/browser.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const BROUGHT = 'lètmein';
const DJANGO = 'pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=';

describe.each(stores)('an outdated password hash on $name', (store) => {
  let server: TestServer;
  let created = 0;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  async function brought() {
    created += 1;
    const email = `brought${created}@example.com`;
    return server.core.accounts.create({ email, passwordHash: DJANGO }, systemMeta);
  }
  const hashOf = async (id: string) =>
    (await server.base.db.account.findUniqueOrThrow({ where: { id } })).passwordHash ?? '';
  const signIn = async (email: string, password: string) =>
    (await new Browser(server.origin).signIn(email, password)).status;

  it('is replaced at the first sign-in, with the same password', async () => {
    const { id, email } = await brought();
    expect(await signIn(email, BROUGHT)).toBe(200);
    const renewed = await hashOf(id);
    expect(renewed).toMatch(/^signet1:\$2b\$04\$/);
    expect(await signIn(email, BROUGHT)).toBe(200);
    expect(await signIn(email, `${BROUGHT}x`)).toBe(401);
    expect(await hashOf(id)).toBe(renewed);
  });

  it('covers the whole password afterwards, and not only the 72 bytes of plain bcrypt', async () => {
    const long = 'x'.repeat(72);
    const passwordHash = '$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i';
    await server.core.accounts.create({ email: 'long@example.com', passwordHash }, systemMeta);
    expect(await signIn('long@example.com', `${long}one`)).toBe(200);
    expect(await signIn('long@example.com', `${long}two`)).toBe(401);
    expect(await signIn('long@example.com', long)).toBe(401);
    expect(await signIn('long@example.com', `${long}one`)).toBe(200);
  });

  it('is replaced by one with the configured cost', async () => {
    const { id, email } = await server.account();
    const passwordHash = await createPasswords({ cost: 5 }).hash(PASSWORD);
    await server.base.db.account.update({ where: { id }, data: { passwordHash } });
    expect(await signIn(email, PASSWORD)).toBe(200);
    expect(await hashOf(id)).toMatch(/^signet1:\$2b\$04\$/);
  });

  it('stays for a wrong password and a suspended account, as does a current hash', async () => {
    const ours = await server.account();
    expect(await signIn(ours.email, PASSWORD)).toBe(200);
    expect(await hashOf(ours.id)).toBe(ours.passwordHash);
    const { id, email } = await brought();
    expect(await signIn(email, 'letmein')).toBe(401);
    await server.base.db.account.update({ where: { id }, data: { status: 'suspended' } });
    expect(await signIn(email, BROUGHT)).toBe(403);
    expect(await hashOf(id)).toBe(DJANGO);
  });

  it('never overwrites a password that is changed concurrently', async () => {
    const before = await brought();
    const changed = await server.core.passwords.hash('another good password');
    for (let i = 0; i < 20; i += 1) {
      await server.base.db.account.update({ where: { id: before.id }, data: { passwordHash: DJANGO } });
      await Promise.all([
        server.core.accounts.renewHash(before, BROUGHT),
        server.base.db.account.update({ where: { id: before.id }, data: { passwordHash: changed } }),
      ]);
      expect(await hashOf(before.id)).toBe(changed);
    }
    await server.core.accounts.renewHash(before, BROUGHT);
    expect(await hashOf(before.id)).toBe(changed);
  });

  it('is replaced consistently by concurrent sign-ins', async () => {
    const { id, email } = await brought();
    expect(await Promise.all(Array.from({ length: 8 }, () => signIn(email, BROUGHT)))).toEqual(Array(8).fill(200));
    expect(await server.core.passwords.verify(BROUGHT, await hashOf(id))).toBe(true);
    expect(await signIn(email, BROUGHT)).toBe(200);
  });

  it('is replaced at the next sign-in when the hashing queue is full', async () => {
    const account = await brought();
    const busy = Array.from({ length: 150 }, () => server.core.passwords.hash('x').catch(() => {}));
    await server.core.accounts.renewHash(account, BROUGHT);
    expect(await hashOf(account.id)).toBe(DJANGO);
    await Promise.all(busy);
    await server.core.accounts.renewHash(account, BROUGHT);
    expect(await hashOf(account.id)).toMatch(/^signet1:/);
  });
});
