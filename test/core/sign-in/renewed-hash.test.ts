// Imported password hashes, or hashes of another cost, are replaced at the next sign-in.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { Browser } from '../../support/browser.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const IMPORTED_PASSWORD = 'lètmein';
const IMPORTED_HASH = 'pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=';

describe.each(stores)('an outdated password hash on $name', (store) => {
  let server: TestServer;
  let imported = 0;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  async function importAccount() {
    imported += 1;
    const email = `imported${imported}@example.com`;
    return server.core.accounts.create({ email, passwordHash: IMPORTED_HASH }, systemMeta);
  }
  const hashOf = async (id: string) =>
    (await server.base.db.account.findUniqueOrThrow({ where: { id } })).passwordHash ?? '';
  const signIn = async (email: string, password: string) =>
    (await new Browser(server.origin).signIn(email, password)).status;

  it('is replaced at the first sign-in, with the same password', async () => {
    const { id, email } = await importAccount();
    expect(await signIn(email, IMPORTED_PASSWORD)).toBe(200);
    const renewed = await hashOf(id);
    expect(renewed).toMatch(/^signet1:\$2b\$04\$/);
    expect(await signIn(email, IMPORTED_PASSWORD)).toBe(200);
    expect(await signIn(email, `${IMPORTED_PASSWORD}x`)).toBe(401);
    expect(await hashOf(id)).toBe(renewed);
  });

  it('is replaced by one of the whole password, not only of the 72 bytes of bcrypt', async () => {
    const long = 'x'.repeat(72);
    const passwordHash = '$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i';
    await server.core.accounts.create({ email: 'long@example.com', passwordHash }, systemMeta);
    expect(await signIn('long@example.com', `${long}one`)).toBe(200);
    expect(await signIn('long@example.com', `${long}two`)).toBe(401);
    expect(await signIn('long@example.com', long)).toBe(401);
    expect(await signIn('long@example.com', `${long}one`)).toBe(200);
  });

  it('is replaced by one with the configured cost', async () => {
    const { id, email, passwordHash } = await server.account();
    expect(passwordHash).toMatch(/^signet1:\$2b\$04\$/);
    const secondServer = await startServer({ sharedWith: server, settings: { PASSWORD_HASH_COST: '5' } });
    try {
      await new Browser(secondServer.origin).signIn(email, PASSWORD);
    } finally {
      await secondServer.close();
    }
    expect(await hashOf(id)).toMatch(/^signet1:\$2b\$05\$/);
    expect(await signIn(email, PASSWORD)).toBe(200);
    expect(await hashOf(id)).toMatch(/^signet1:\$2b\$04\$/);
  });

  it('is kept after a wrong password and for a suspended account, as is a current hash', async () => {
    const ours = await server.account();
    expect(await signIn(ours.email, PASSWORD)).toBe(200);
    expect(await hashOf(ours.id)).toBe(ours.passwordHash);
    const { id, email } = await importAccount();
    expect(await signIn(email, 'letmein')).toBe(401);
    await suspendAccount(server, id);
    expect(await signIn(email, IMPORTED_PASSWORD)).toBe(403);
    expect(await hashOf(id)).toBe(IMPORTED_HASH);
  });

  it('never overwrites a password that is changed concurrently', async () => {
    const password = 'another good password';
    for (let round = 0; round < 10; round += 1) {
      const before = await importAccount();
      await Promise.all([
        server.core.accounts.renewHash(before, IMPORTED_PASSWORD, systemMeta),
        changeAccount(server, before.id, { password }),
      ]);
      await server.core.accounts.renewHash(before, IMPORTED_PASSWORD, systemMeta); // a sign-in that read the account before
      expect(await server.core.passwords.verify(password, await hashOf(before.id), systemMeta)).toBe(true);
    }
  });

  it('is replaced consistently by concurrent sign-ins', async () => {
    const { id, email } = await importAccount();
    expect(await Promise.all(Array.from({ length: 8 }, () => signIn(email, IMPORTED_PASSWORD)))).toEqual(
      Array(8).fill(200),
    );
    expect(await server.core.passwords.verify(IMPORTED_PASSWORD, await hashOf(id), systemMeta)).toBe(true);
    expect(await signIn(email, IMPORTED_PASSWORD)).toBe(200);
  });

  it('is replaced at a later sign-in when the hashing queue is full', async () => {
    const account = await importAccount();
    const busy = Array.from({ length: 150 }, () => server.core.passwords.hash('x', systemMeta).catch(() => {}));
    await server.core.accounts.renewHash(account, IMPORTED_PASSWORD, systemMeta);
    expect(await hashOf(account.id)).toBe(IMPORTED_HASH);
    await Promise.all(busy);
    await server.core.accounts.renewHash(account, IMPORTED_PASSWORD, systemMeta);
    expect(await hashOf(account.id)).toMatch(/^signet1:/);
  });
});
