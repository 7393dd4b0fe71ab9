// Messages of the compiled server when it cannot start.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFresh } from './support/fresh-start.js';
import { run } from './support/server-process.js';

const { folder, settings } = startFresh();

describe('the server exits with 1 and a message for', () => {
  test('a port in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, resolve));
    const { port } = other.address() as { port: number };
    await refused({ PORT: String(port) }, new RegExp(`port ${port} is in use; set PORT`));
    other.close();
  });

  test('a DATA_DIR that cannot be written', async () => {
    await refused({ DATA_DIR: '/dev/null/signet' }, /DATA_DIR \/dev\/null\/signet cannot be written/);
  });

  test('an SQLite file in a folder that cannot be written', async () => {
    await refused(
      { DATABASE_URL: 'file:/dev/null/signet.db' },
      /the database at \/dev\/null\/signet.db cannot be used/,
    );
  });

  test('a damaged SQLite file, with advice about its -wal and -shm files', async () => {
    const path = join(folder.path, 'signet.db');
    writeFileSync(path, 'no database at all, and longer than nothing'.repeat(30));
    const advice = `signet.db cannot be used: .*; remove ${path}, ${path}-wal and`;
    await refused({}, new RegExp(advice));
  });

  test('an unreachable PostgreSQL, without its password', async () => {
    const { stderr } = await refused(
      { DATABASE_URL: 'postgresql://signet:hunter22@127.0.0.1:1/signet' },
      /the database at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED.*; check DATABASE_URL/,
    );
    expect(stderr).not.toContain('hunter22');
  });

  test('an unreachable Redis', async () => {
    await refused({ REDIS_URL: 'redis://127.0.0.1:1' }, /Redis at 127\.0\.0\.1:1 cannot be reached/);
  });

  test('invalid settings, all at once', async () => {
    const { stderr } = await refused(
      { PORT: 'many', DATABASE_URL: 'mysql://x', ACCESS_TOKEN_TTL: '8 hours' },
      /^The settings are not valid:/,
    );
    for (const name of ['PORT', 'DATABASE_URL', 'ACCESS_TOKEN_TTL']) expect(stderr).toContain(`- ${name} `);
  });

  test('an http issuer in production', async () => {
    await refused({ NODE_ENV: 'production', ISSUER: 'http://id.example.com' }, /ISSUER uses http: in production/);
  });

  test('an administrator whose password is too common', async () => {
    await refused(
      { BOOTSTRAP_ADMIN_EMAIL: 'boot@example.com', BOOTSTRAP_ADMIN_PASSWORD: 'password' },
      /BOOTSTRAP_ADMIN_PASSWORD.*too common/,
    );
  });

  async function refused(wrong: Record<string, string>, sentence: RegExp) {
    const ended = await run('main.js', [], { ...settings, PASSWORD_HASH_COST: '4', ...wrong });
    expect(ended.stderr.replace(/^oidc-provider .*\n/gm, '')).toMatch(sentence);
    expect(ended.code).toBe(1);
    expect(ended.stderr + ended.stdout).not.toMatch(/^\s+at .*[:(]\d+/m); // no stack trace
    return ended;
  }
});
