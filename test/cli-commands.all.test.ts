// The compiled CLI on an SQLite database. While a server runs: cli.all.test.ts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../src/base/db/open.js';
import { VERSION } from '../src/base/version.js';
import { DEPRECATED_COMMANDS } from '../src/cli/deprecated-commands.js';
import { startFresh } from './support/fresh-start.js';
import { run } from './support/server-process.js';

const PASSWORD = 'correct horse battery';
const REDIRECT = 'https://acme.example/cb';
const { folder, settings, cli, json } = startFresh();

describe('wrong usage of the CLI', () => {
  test('exits with 64 and reports all options that do not fit together', async () => {
    const words = ['client', 'create', '--name', 'x', '--public', '--no-pkce', '--auth-method', 'private_key_jwt'];
    const { code, stderr, stdout } = await cli(...words);
    expect(code).toBe(64);
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n')).toEqual([
      'error: --public requires --auth-method none',
      'error: a public client must use PKCE: remove --no-pkce',
      'error: private_key_jwt needs --jwks-file or --jwks-uri',
      'error: --redirect-uri is missing: the grant type authorization_code needs one',
    ]);
  });

  test.each([
    ['an unknown option', ['account', 'list', '--limt', '3'], "unknown option '--limt'\n(Did you mean --limit?)"],
    ['a missing option', ['account', 'create'], "required option '--email <address>' not specified"],
    ['a missing argument', ['client', 'delete'], "missing required argument 'client_id'"],
    ['too many arguments', ['client', 'delete', 'a', 'b'], 'too many arguments'],
    ['an option for a value', ['client', 'create', '--name', '--public'], "option '--name <name>' needs a value"],
    ['an empty value', ['client', 'create', '--name', ''], "option '--name <name>' needs a value"],
    ['an invalid number', ['account', 'list', '--limit', '0'], 'integer from 1 to 99999'],
    ['an unknown action', ['audit', 'list', '--action', 'sign_in.fail'], 'sign_in.failed'],
    ['an unknown command', ['acount', 'list'], "unknown command 'acount'"],
    ['an unknown command of a group', ['account', 'lst'], "unknown command 'lst'\n(Did you mean list?)"],
  ])('exits with 64 for %s', async (_case, words, message) => {
    const { code, stderr } = await cli(...words);
    expect(code).toBe(64);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('exits with 64 for a password in a URL, without repeating it', async () => {
    const { code, stderr } = await cli('db', 'copy', 'file:./a.db', 'postgresql://me:hunter22@localhost/x');
    expect(code).toBe(64);
    expect(stderr).toContain('PGPASSWORD');
    expect(stderr).not.toContain('hunter22');
  });
});

describe('help of the CLI', () => {
  test.each([['--help'], ['-h'], ['keys', 'rotate', '--help'], ['client', 'create', '-h']])(
    'is printed by %s %s %s without opening a store',
    async (...words) => {
      settings.DATA_DIR = '/dev/null/missing';
      const { code, stdout } = await cli(...words.filter(Boolean));
      expect(code).toBe(0);
      expect(stdout).toContain('--json');
      expect(stdout).toContain('Examples:\n  $ signet ');
    },
  );

  test.each([
    ['account', '--help', 0],
    ['account', 'help', 0],
    ['help', 'account', 0],
    ['account', '', 64],
  ])('lists the commands of a group: %s %s', async (first, second, expected) => {
    const { code, stdout, stderr } = await cli(...[first, second].filter(Boolean));
    expect(code).toBe(expected);
    const text = expected === 0 ? stdout : stderr;
    expect(text).toContain('account reset-mfa <email>');
    expect(text).not.toContain('client create');
  });

  test('prints the version', async () => {
    expect(await cli('--version')).toMatchObject({ code: 0, stdout: `${VERSION}\n` });
  });
});

describe('old names of commands', () => {
  test.each(Object.entries(DEPRECATED_COMMANDS))('"%s" runs "%s", with a warning', async (old, current) => {
    const { code, stdout, stderr } = await cli(...old.split(' '), '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: signet ${current} `);
    expect(stderr).toBe(
      `"signet ${old}" is deprecated and will be removed in the next release; use "signet ${current}" instead\n`,
    );
  });
});

describe('CLI commands', () => {
  test('create an account with a password that is shown once, or read from standard input', async () => {
    const created = await json('account', 'create', '--email', 'Ann@Example.com', '--name', 'Ann Other', '--admin');
    expect(created).toMatchObject({ email: 'ann@example.com', role: 'admin', email_verified: false });
    expect(created.password).toMatch(/^[\w-]{20}$/);

    const words = ['account', 'create', '--email', 'bob@example.com', '--verified', '--password-stdin'];
    const fromStdin = await run('cli.js', words, settings, `${PASSWORD}\n`);
    expect(fromStdin.code).toBe(0);
    expect(fromStdin.stdout).not.toContain(PASSWORD);
    expect((await json('account', 'list')).map((account: { email: string }) => account.email)).toEqual([
      'bob@example.com',
      'ann@example.com',
    ]);

    const again = await run('cli.js', words, settings, `${PASSWORD}\n`);
    expect(again.code).toBe(1);
    expect(again.stderr).toBe('There is already an account with this e-mail address. email: This address is taken.\n');
    const weak = await run('cli.js', [...words.slice(0, 3), 'c@example.com', '--password-stdin'], settings, 'password');
    expect(weak).toMatchObject({ code: 1, stderr: expect.stringContaining('too common') });
  }, 30_000);

  test('create a client with a secret that is shown once', async () => {
    const created = await json('client', 'create', '--name', 'Acme', '--redirect-uri', REDIRECT, '--first-party');
    expect(created).toMatchObject({ client_name: 'Acme', first_party: true, pkce_required: true });
    const list = await cli('client', 'list', '--json');
    expect(list.stdout).toContain(created.client_id);
    expect(list.stdout).not.toContain(created.client_secret);
    const native = await json('client', 'create', '--name', 'App', '--public', '--redirect-uri', 'com.acme:/cb');
    expect(native.client_secret).toBeUndefined();
    expect((await cli('client', 'rotate-secret', native.client_id)).code).toBe(1);
  }, 30_000);

  test('remove the second factor of an account, and revoke its sessions', async () => {
    await json('account', 'create', '--email', 'ann@example.com', '--verified');
    expect(await cli('account', 'reset-mfa', 'unknown@example.com')).toMatchObject({
      code: 1,
      stderr: 'No account has the e-mail address unknown@example.com.\n',
    });
    expect(await cli('account', 'reset-mfa', 'ann@example.com')).toMatchObject({
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
      expect(await json('account', 'reset-mfa', 'Ann@Example.com')).toEqual({
        id: accountId,
        email: 'ann@example.com',
      });
      expect([await db.totpFactor.count(), await db.recoveryCode.count()]).toEqual([0, 0]);
      expect(await db.session.findFirstOrThrow()).toMatchObject({ endReason: 'mfa_changed' });
      expect(await db.auditEvent.findFirst({ where: { action: 'mfa.removed' } })).toMatchObject({
        actorKind: 'system',
        accountId,
      });
    } finally {
      await db.$disconnect();
    }
  }, 30_000);

  test('reject private keys in a JWK set', async () => {
    const file = join(folder.path, 'keys.json');
    writeFileSync(file, JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' }] }));
    const words = ['client', 'create', '--name', 'A', '--redirect-uri', REDIRECT, '--auth-method', 'private_key_jwt'];
    const { code, stderr } = await cli(...words, '--jwks-file', file);
    expect(code).toBe(64);
    expect(stderr).toContain('contains private keys');
  });

  test('copy the database', async () => {
    await json('account', 'create', '--email', 'ann@example.com');
    const copy = `file:${join(folder.path, 'copy.db')}`;
    const copied = await json('db', 'copy', 'DATABASE_URL', copy);
    expect(copied).toContainEqual({ model: 'Account', rows: 1 });
    settings.DATABASE_URL = copy;
    expect(await json('account', 'list')).toMatchObject([{ email: 'ann@example.com' }]);
  }, 30_000);
});
