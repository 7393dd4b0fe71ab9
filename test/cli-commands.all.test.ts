// The command line, compiled, on an SQLite database. Beside a running server: cli.all.test.ts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../src/base/db/open.js';
import { startFresh } from './support/fresh-start.js';
import { run } from './support/server-process.js';

const PASSWORD = 'correct horse battery';
const REDIRECT = 'https://acme.example/cb';
const { folder, settings, cli, json } = startFresh();

describe('arguments', () => {
  test('are told all that is wrong with them at once, and end with 64', async () => {
    const { code, stderr, stdout } = await cli('client', 'create', '--nmae', 'x', '--public', '--no-pkce', 'more');
    expect(code).toBe(64);
    expect(stdout).toBe('');
    for (const problem of [
      'There is no option --nmae.',
      '--name is missing.',
      '--redirect-uri is missing',
      'leave out --no-pkce',
      '"more" is one argument too many.',
    ])
      expect(stderr).toContain(problem);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('that name no command end with 64 and an overview', async () => {
    const { code, stderr } = await cli('acount', 'list');
    expect(code).toBe(64);
    expect(stderr).toContain('There is no command "acount list".');
    expect(stderr).toContain('client create');
  });

  test('know the actions of the audit trail', async () => {
    const { code, stderr } = await cli('audit', 'list', '--action', 'sign_in.fail');
    expect(code).toBe(64);
    expect(stderr).toMatch(/There is no action "sign_in\.fail"; there are .*sign_in\.failed/);
  });

  test('ask for help without touching anything', async () => {
    settings.DATA_DIR = '/dev/null/nowhere';
    for (const words of [['--help'], ['keys', 'rotate', '--help'], ['client', 'create', '--help']]) {
      const { code, stdout } = await cli(...words);
      expect(code).toBe(0);
      expect(stdout).toContain('--json');
    }
  });

  test('of one noun are shown by it alone', async () => {
    for (const words of [['account', '--help'], ['account', 'help'], ['account'], ['account', 'frob']]) {
      const isAsked = words[1]?.endsWith('help') ?? false;
      const { code, stdout, stderr } = await cli(...words);
      expect(code, words.join(' ')).toBe(isAsked ? 0 : 64);
      const told = isAsked ? stdout : stderr;
      expect(told).toContain('account reset-factor <email>');
      expect(told).not.toContain('client create');
    }
  });

  test('never hold a password', async () => {
    const { code, stderr } = await cli('move', 'file:./a.db', 'postgresql://me:hunter22@localhost/x');
    expect(code).toBe(64);
    expect(stderr).toContain('PGPASSWORD');
    expect(stderr).not.toContain('hunter22');
  });
});

describe('what it makes', () => {
  test('an account with a password that is shown once, or read from standard input', async () => {
    const made = await json('account', 'create', '--email', 'Ann@Example.com', '--name', 'Ann Other', '--admin');
    expect(made).toMatchObject({ email: 'ann@example.com', role: 'admin', email_verified: false });
    expect(made.password).toMatch(/^[\w-]{20}$/);

    const words = ['account', 'create', '--email', 'bob@example.com', '--verified', '--password-stdin'];
    const read = await run('cli.js', words, settings, `${PASSWORD}\n`);
    expect(read.code).toBe(0);
    expect(read.stdout).not.toContain(PASSWORD);
    expect((await json('account', 'list')).map((account: { email: string }) => account.email)).toEqual([
      'bob@example.com',
      'ann@example.com',
    ]);

    const again = await run('cli.js', words, settings, `${PASSWORD}\n`);
    expect(again.code).toBe(1);
    expect(again.stderr).toBe('There is already an account with this e-mail address. email: This address is taken.\n');
    const weak = await run('cli.js', [...words.slice(0, 3), 'c@example.com', '--password-stdin'], settings, 'password');
    expect(weak).toMatchObject({ code: 1, stderr: expect.stringContaining('most common') });
  }, 30_000);

  test('a client with a secret that is shown once', async () => {
    const made = await json('client', 'create', '--name', 'Acme', '--redirect-uri', REDIRECT, '--first-party');
    expect(made).toMatchObject({ client_name: 'Acme', first_party: true, pkce_required: true });
    const list = await cli('client', 'list', '--json');
    expect(list.stdout).toContain(made.client_id);
    expect(list.stdout).not.toContain(made.client_secret);
    const native = await json('client', 'create', '--name', 'App', '--public', '--redirect-uri', 'com.acme:/cb');
    expect(native.client_secret).toBeUndefined();
    expect((await cli('client', 'secret', native.client_id)).code).toBe(1);
  }, 30_000);

  test('an account without the second factor that its person lost', async () => {
    await json('account', 'create', '--email', 'ann@example.com', '--verified');
    expect(await cli('account', 'reset-factor', 'nobody@example.com')).toMatchObject({
      code: 1,
      stderr: 'There is no account with the address nobody@example.com.\n',
    });
    expect(await cli('account', 'reset-factor', 'ann@example.com')).toMatchObject({
      code: 1,
      stderr: 'No second factor is set up.\n',
    });
    const db = await openDatabase(`file:${join(folder.path, 'signet.db')}`);
    try {
      const { id: accountId } = await db.account.findFirstOrThrow();
      const now = new Date();
      await db.totpFactor.create({ data: { accountId, sealedSecret: 'jwe', confirmedAt: now, lastStep: 1 } });
      await db.recoveryCode.create({ data: { accountId, codeHash: 'hash' } });
      const login = { channel: 'browser', authTime: now, amr: ['pwd'], expiresAt: new Date(now.getTime() + 60_000) };
      await db.session.create({ data: { ...login, accountId } });
      expect(await json('account', 'reset-factor', 'Ann@Example.com')).toEqual({
        id: accountId,
        email: 'ann@example.com',
      });
      expect([await db.totpFactor.count(), await db.recoveryCode.count()]).toEqual([0, 0]);
      expect(await db.session.findFirstOrThrow()).toMatchObject({ endReason: 'factors_changed' });
      expect(await db.auditEvent.findFirst({ where: { action: 'mfa.removed' } })).toMatchObject({
        actorKind: 'system',
        accountId,
      });
    } finally {
      await db.$disconnect();
    }
  }, 30_000);

  test('no client from keys that are private', async () => {
    const file = join(folder.path, 'keys.json');
    writeFileSync(file, JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' }] }));
    const words = ['client', 'create', '--name', 'A', '--redirect-uri', REDIRECT, '--auth-method', 'private_key_jwt'];
    const { code, stderr } = await cli(...words, '--jwks-file', file);
    expect(code).toBe(64);
    expect(stderr).toContain('holds private keys');
  });

  test('a copy of the database', async () => {
    await json('account', 'create', '--email', 'ann@example.com');
    const copy = `file:${join(folder.path, 'copy.db')}`;
    const moved = await json('move', 'DATABASE_URL', copy);
    expect(moved).toContainEqual({ model: 'Account', rows: 1 });
    settings.DATABASE_URL = copy;
    expect(await json('account', 'list')).toMatchObject([{ email: 'ann@example.com' }]);
  }, 30_000);
});
