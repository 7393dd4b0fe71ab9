// Messages of the compiled server when it cannot start.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFresh } from './support/fresh-start.js';
import { run } from './support/server-process.js';

const { folder, settings } = startFresh();

describe('a server that cannot start', () => {
  test('reports a port in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, resolve));
    const { port } = other.address() as { port: number };
    await expectError({ PORT: String(port) }, new RegExp(`port ${port} is in use; set PORT`));
    other.close();
  });

  test('reports a DATA_DIR that cannot be written', async () => {
    await expectError({ DATA_DIR: '/dev/null/signet' }, /cannot create \/dev\/null\/signet\/secret \(ENOTDIR\)/);
  });

  test('reports an SQLite file in a folder that cannot be written', async () => {
    await expectError(
      { DATABASE_URL: 'file:/dev/null/signet.db' },
      /the database at \/dev\/null\/signet.db cannot be used/,
    );
  });

  test('reports a damaged SQLite file, with advice about its -wal and -shm files', async () => {
    const path = join(folder.path, 'signet.db');
    writeFileSync(path, 'this is not an SQLite database '.repeat(30));
    const advice = `signet.db cannot be used: .*; remove ${path}, ${path}-wal and`;
    await expectError({}, new RegExp(advice));
  });

  test('reports an unreachable PostgreSQL, without its password', async () => {
    const { stderr } = await expectError(
      { DATABASE_URL: 'postgresql://signet:hunter22@127.0.0.1:1/signet' },
      /the database at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED.*; check DATABASE_URL/,
    );
    expect(stderr).not.toContain('hunter22');
  });

  test('reports an unreachable Redis', async () => {
    await expectError({ REDIS_URL: 'redis://127.0.0.1:1' }, /Redis at 127\.0\.0\.1:1 cannot be reached/);
  });

  test('reports all invalid settings at once', async () => {
    const { stderr } = await expectError(
      { PORT: 'many', DATABASE_URL: 'mysql://x', ACCESS_TOKEN_TTL: '8 hours' },
      /^The settings are not valid:/,
    );
    for (const name of ['PORT', 'DATABASE_URL', 'ACCESS_TOKEN_TTL']) expect(stderr).toContain(`- ${name} `);
  });

  test('reports an http issuer in production', async () => {
    await expectError(
      { NODE_ENV: 'production', ISSUER: 'http://id.example.com' },
      /ISSUER must use https in production/,
    );
  });

  test('reports an administrator whose password is too common', async () => {
    await expectError(
      { BOOTSTRAP_ADMIN_EMAIL: 'boot@example.com', BOOTSTRAP_ADMIN_PASSWORD: 'password' },
      /BOOTSTRAP_ADMIN_PASSWORD.*too common/,
    );
  });

  async function expectError(wrongSettings: Record<string, string>, message: RegExp) {
    const result = await run('main.js', [], { ...settings, ...wrongSettings });
    expect(result.stderr.replace(/^oidc-provider .*\n/gm, '')).toMatch(message);
    expect(result.code).toBe(1);
    expect(result.stderr + result.stdout).not.toMatch(/^\s+at .*[:(]\d+/m); // no stack trace
    return result;
  }
});
