// Creating, importing and finding accounts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('the account service on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const create = (email: string, more: object = {}) =>
    server.core.accounts.create({ email, password: PASSWORD, ...more }, systemMeta);

  it('creates one account per e-mail address, even for 10 concurrent requests', async () => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => create('race@example.com')));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 409, code: 'conflict' });
    }
    expect(await server.base.db.account.count({ where: { email: 'race@example.com' } })).toBe(1);
    const organizations = await server.base.db.organization.findMany({ where: { name: 'race@example.com' } });
    expect(organizations).toHaveLength(1);
    expect(organizations[0]!.id).toMatch(/^co_/);
  });

  it('finds an account by any spelling of its e-mail address', async () => {
    const { id } = await create(' Mixed.Case@Example.COM ');
    for (const spelling of ['mixed.case@example.com', 'MIXED.CASE@EXAMPLE.COM', ' Mixed.Case@example.com']) {
      expect((await server.core.accounts.findByEmail(spelling))?.id).toBe(id);
      await expect(create(spelling)).rejects.toMatchObject({ status: 409 });
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
  ])('rejects the e-mail address %j', async (email) => {
    await expect(create(email)).rejects.toMatchObject({ status: 400, fields: { email: expect.any(String) } });
  });

  it('rejects names with control characters and names that are too long', async () => {
    for (const name of ['a\u0000b', 'a\nb', 'x'.repeat(201)]) {
      await expect(create('name@example.com', { name })).rejects.toMatchObject({
        fields: { name: expect.any(String) },
      });
    }
  });

  it('reports all invalid fields at once', async () => {
    const error = await create('x', { password: 'x', name: 'x'.repeat(201) }).catch((thrown) => thrown);
    expect(Object.keys(error.fields).sort()).toEqual(['email', 'name', 'password']);
  });

  it('imports accounts with a password hash or without a password', async () => {
    const { accounts } = server.core;
    const passwordHash = '$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC';
    const options = { verified: true, role: 'admin' as const };
    const imported = await accounts.create({ email: 'old@example.com', passwordHash }, systemMeta, options);
    expect(imported).toMatchObject({ passwordHash, emailVerified: true, role: 'admin' });
    const withoutPassword = await accounts.create({ email: 'bare@example.com', passwordHash: null }, systemMeta);
    expect(withoutPassword).toMatchObject({ passwordHash: null, passwordChangedAt: null });
    const [event] = await server.core.audit.list({ accountId: imported.id }, 1);
    expect(event).toMatchObject({ action: 'account.created', detail: { role: 'admin', imported: true } });

    for (const hash of ['', 'md5:5f4dcc3b5aa765d61d8327deb882cf99', passwordHash.replace('04', '31')]) {
      const rejected = accounts.create({ email: 'x@example.com', passwordHash: hash }, systemMeta);
      await expect(rejected).rejects.toMatchObject({ fields: { passwordHash: expect.stringContaining('argon2id') } });
    }
  });
});
