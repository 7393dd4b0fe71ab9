// The CLI while a server runs, which must notice the changes; account import; doctor.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Browser } from './support/browser.js';
import { startFresh } from './support/fresh-start.js';
import { openMailServer } from './support/mail-server.js';
import { startServerProcess, waitUntil } from './support/server-process.js';

const REDIRECT = 'https://acme.example/cb';
const { folder, settings, cli, json } = startFresh();

describe('a running server', () => {
  test('notices changes of clients and keys by the CLI', async () => {
    const server = await startServerProcess(settings);
    settings.ISSUER = server.origin;
    const client = await json('client', 'create', '--name', 'Acme', '--redirect-uri', REDIRECT);
    const introspect = (secret: string) =>
      fetch(`${server.origin}/oauth/introspect`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client.client_id}:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ token: 'unknown' }),
      }).then(({ status }) => status);
    expect(await introspect(client.client_secret)).toBe(200);

    const { client_secret: renewed } = await json('client', 'rotate-secret', client.client_id);
    await waitUntil('the old secret is rejected', async () => (await introspect(client.client_secret)) === 401, 3000);
    expect(await introspect(renewed)).toBe(200);
    await json('client', 'delete', client.client_id);
    await waitUntil('the client is rejected', async () => (await introspect(renewed)) === 401, 3000);

    const kids = async () => {
      const { keys } = (await (await fetch(`${server.origin}/oauth/jwks`)).json()) as { keys: { kid: string }[] };
      return keys.map(({ kid }) => kid);
    };
    const before = await kids();
    const { kids: added } = await json('keys', 'rotate');
    await waitUntil(
      'the new keys are published',
      async () => (await kids()).length === before.length + added.length,
      3000,
    );
    await json('keys', 'rotate', '--now');
    await waitUntil(
      'the old keys are withdrawn',
      async () => !(await kids()).some((kid) => before.includes(kid)),
      3000,
    );
    const signing = (await json('keys', 'list')).filter((key: { signs: boolean }) => key.signs);
    expect(signing.map((key: { kid: string }) => key.kid).sort()).toEqual((await kids()).sort());
  }, 45_000);

  test('notices changes of APIs by the CLI', async () => {
    const server = await startServerProcess(settings);
    settings.ISSUER = server.origin;
    const api = 'https://notes.example/v1';
    const client = await json('client', 'create', '--name', 'CI', '--grant-types', 'client_credentials');
    const requestToken = async () => {
      const response = await fetch(`${server.origin}/oauth/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: api }),
      });
      return (await response.json()) as { error?: string; expires_in?: number; scope?: string };
    };
    expect((await requestToken()).error).toBe('invalid_target');
    const scopes = ['--scope', 'notes:read=Read your notes.', '--extra-scope', 'notes:write=Change your notes.'];
    const created = await json('resource', 'create', api, '--name', 'Notes', ...scopes, '--ttl', '5m');
    expect(created).toMatchObject({ identifier: api, access_token_ttl: 300, clients: null });
    await waitUntil('the API is known', async () => (await requestToken()).expires_in === 300, 3000);
    expect((await requestToken()).scope).toBe('notes:read');
    await json('resource', 'update', api, '--client', 'another', '--ttl', 'default');
    const { stdout } = await cli('resource', 'update', api, '--client', 'another', '--client', client.client_id);
    expect(stdout.match(/^unknown .*$/gm)).toEqual(['unknown     another: this client does not exist yet']);
    await json('resource', 'update', api, '--client', 'another');
    await waitUntil(
      'the API is closed to the client',
      async () => (await requestToken()).error === 'invalid_target',
      3000,
    );
    await json('resource', 'update', api, '--all-clients');
    await waitUntil('the API is open again', async () => (await requestToken()).expires_in === 28_800, 3000);
    const listed = await json('resource', 'list');
    expect(listed.map(({ identifier }: { identifier: string }) => identifier)).toContain(api);
    await json('resource', 'delete', api);
    await waitUntil('the API is unknown', async () => (await requestToken()).error === 'invalid_target', 3000);
    const { code, stderr } = await cli(
      'resource',
      'create',
      'notes',
      '--name',
      'N',
      '--scope',
      'read',
      '--format',
      'x',
    );
    expect(code).toBe(64);
    expect(stderr).toContain("argument 'read' is invalid. Must have the form read=");
    expect((await cli('resource', 'create', 'notes', '--name', 'N', '--format', 'x')).code).toBe(64);
    expect((await cli('resource', 'create', 'notes', '--name', 'N')).stderr).toContain('absolute URI');
  }, 60_000);

  test('allows client prune, which lists unused clients with --dry-run and deletes them without', async () => {
    settings.UNUSED_CLIENT_TTL = '1s';
    const server = await startServerProcess(settings);
    settings.ISSUER = server.origin;
    const kept = await json('client', 'create', '--name', 'Kept', '--redirect-uri', REDIRECT);
    const response = await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: 'Unused', redirect_uris: [REDIRECT] }),
    });
    const { client_id: id } = (await response.json()) as { client_id: string };
    const dryRun = () => json('client', 'prune', '--dry-run');
    await waitUntil('the client is unused for a second', async () => (await dryRun()).length === 1, 10_000);
    expect(await dryRun()).toMatchObject([{ client_id: id, client_name: 'Unused', reason: 'unused' }]);
    expect(await json('client', 'prune')).toMatchObject([{ client_id: id }]);
    const left = (await json('client', 'list')).map((client: { client_id: string }) => client.client_id);
    expect(left).toEqual([kept.client_id]);
  }, 60_000);

  test('accepts a new setup link and the one of its start', async () => {
    const server = await startServerProcess(settings);
    settings.ISSUER = server.origin;
    await waitUntil('the link is shown', () => server.stderr().includes('/setup?token='));
    const first = /http\S+token=\S+/.exec(server.stderr())![0];
    const { link } = await json('setup', 'link');
    expect(link).not.toBe(first);
    for (const one of [first, link]) expect((await new Browser(server.origin).open(one)).status).toBe(200);
  });

  test('is not needed for commands to write audit events', async () => {
    await json('client', 'create', '--name', 'Acme', '--redirect-uri', REDIRECT);
    const events = await json('audit', 'list', '--action', 'client.created');
    expect(events).toMatchObject([{ action: 'client.created', actorKind: 'system' }]);
  });
});

describe('doctor', () => {
  test('finds no problem with a running server', async () => {
    const server = await startServerProcess(settings);
    settings.ISSUER = server.origin;
    const results = await json('doctor');
    const status = Object.fromEntries(
      results.map(({ about, status }: { about: string; status: string }) => [about, status]),
    );
    expect(status).toMatchObject({ settings: 'ok', secret: 'ok', database: 'ok', keys: 'ok', server: 'ok' });
  });

  test('connects to the mail server, and never prints its password', async () => {
    const mail = async () => {
      const { stdout } = await cli('doctor');
      return /^.*\bmail\b.*$/m.exec(stdout)![0];
    };
    expect(await mail()).toMatch(/^ok +mail +not sent/);
    const server = await openMailServer({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: ({ password }, _, done) => (password === 'hunter22' ? done(null, { user: 1 }) : done(new Error('no'))),
    });
    settings.SMTP_URL = server.url.replace('//', '//mara:hunter22@');
    expect(await mail()).toMatch(/^ok +mail +127\.0\.0\.1:\d+ accepts mail from no-reply@localhost$/);
    settings.SMTP_URL = server.url.replace('//', '//mara:hunter33@');
    expect(await mail()).toMatch(/^fail +mail +127\.0\.0\.1:\d+ does not accept mail \(EAUTH 535\); check SMTP_URL$/);
    expect(server.mails).toEqual([]);
    await server.close();
    expect(await mail()).toMatch(/^fail +mail .*check SMTP_URL$/);
    Object.assign(settings, { NODE_ENV: 'production', PASSWORD_HASH_COST: '10', SMTP_URL: '' });
    expect(await mail()).toMatch(/^warn +mail +SMTP_URL is not set/);
  }, 60_000);

  test('warns about a database that other users can read, as a restored copy often is', async () => {
    await json('account', 'list');
    const database = async () => /^.*\bdatabase\b.*$/m.exec((await cli('doctor')).stdout)![0];
    chmodSync(join(folder.path, 'signet.db'), 0o644);
    chmodSync(folder.path, 0o700);
    expect(await database()).toMatch(/^ok /);
    chmodSync(folder.path, 0o755);
    expect(await database()).toMatch(/^warn +database +other users can read .*signet\.db: chmod 600 /);
  });

  test('warns about a default API that is not registered', async () => {
    await json('account', 'list'); // creates the database
    settings.DEFAULT_RESOURCE = 'https://api.example.com/v1';
    const resource = async () => /^.*\bresource\b.*$/m.exec((await cli('doctor')).stdout)![0];
    expect(await resource()).toMatch(
      /^warn +resource +https:\/\/api\.example\.com\/v1 is not registered: .*DEFAULT_RESOURCE$/,
    );
    await json('resource', 'create', 'https://api.example.com/v1', '--name', 'API');
    expect(await resource()).toMatch(/^ok +resource /);
  });

  test('warns about old names of settings', async () => {
    settings.REFRESH_RETRY_WINDOW = '5s';
    expect((await cli('doctor')).stdout).toMatch(/^warn +settings +REFRESH_RETRY_WINDOW is deprecated /m);
  });

  test('says how to fix a problem, and exits with 1', async () => {
    settings.DATABASE_URL = 'postgresql://127.0.0.1:1/signet';
    settings.REDIS_URL = 'redis://127.0.0.1:1';
    const { code, stdout } = await cli('doctor');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^fail +database .*ECONNREFUSED.*check DATABASE_URL/m);
    expect(stdout).toMatch(/^fail +redis .*check REDIS_URL/m);
    settings.PORT = 'x';
    expect(await cli('doctor')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^fail +settings +PORT/m),
    });
  });
});

describe('account import', () => {
  const HASH = '$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC';
  function write(...lines: unknown[]): string {
    const file = join(folder.path, 'accounts.jsonl');
    writeFileSync(file, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
    return file;
  }

  test('creates accounts with their passwords, and skips existing ones', async () => {
    await json('account', 'create', '--email', 'ann@example.com');
    const file = write(
      `\ufeff{"email":"Bob@Example.com","name":"Bob Other","email_verified":true,"password_hash":"${HASH}","role":"admin"}\r`,
      '',
      { email: 'ann@example.com', password_hash: HASH },
      { email: 'cid@example.com', name: null, password_hash: null },
    );
    expect(await json('account', 'import', file)).toEqual({
      made: 2,
      skipped: [{ line: 3, email: 'ann@example.com' }],
    });
    const accounts = await json('account', 'list');
    expect(accounts).toHaveLength(3);
    expect(accounts).toContainEqual(
      expect.objectContaining({ email: 'bob@example.com', name: 'Bob Other', email_verified: true, role: 'admin' }),
    );
    expect(accounts).toContainEqual(
      expect.objectContaining({ email: 'cid@example.com', name: null, email_verified: false, role: 'viewer' }),
    );
    const again = await cli('account', 'import', file);
    expect(again.stdout).toMatch(
      /^0 accounts were created\.\nLine 1 was skipped: bob@example\.com already has an account/,
    );

    const server = await startServerProcess(settings);
    const signIn = (email: string, password: string) => new Browser(server.origin).signIn(email, password);
    expect((await signIn('bob@example.com', 'pässwörd')).status).toBe(200);
    expect((await signIn('bob@example.com', 'password')).status).toBe(401);
    expect((await signIn('cid@example.com', 'pässwörd')).status).toBe(401);
  }, 30_000);

  test('reports every problem by line without repeating a hash, and then creates no account', async () => {
    const file = write(
      { email: 'bob@example.com', password_hash: HASH },
      '{"email": "cid@example.com"',
      { email: 'invalid', name: 'a\u0000b' },
      { email: 'dan@example.com', password_hash: '$2b$31$secret' },
      { email: 'eve@example.com', role: 'owner', emailVerified: true },
      { email: ' BOB@example.com' },
      '[]',
    );
    const { code, stdout, stderr } = await cli('account', 'import', file);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    const problems = stderr.trim().split('\n');
    for (const start of [
      'Line 2: This is not a JSON object.',
      'Line 3: email: Enter an e-mail address.',
      'Line 3: name: Use at most',
      'Line 4: password_hash: Use one of bcrypt',
      'Line 5: role: ',
      'Line 5: Unrecognized key: "emailVerified"',
      'Line 6: email: Line 1 has the same e-mail address.',
      'Line 7: This is not a JSON object.',
    ])
      expect(problems.filter((line) => line.startsWith(start))).toHaveLength(1);
    expect(problems).toHaveLength(9);
    expect(problems.at(-1)).toBe('No account was created.');
    expect(stderr).not.toContain('secret');
    expect(await json('account', 'list')).toEqual([]);
  }, 30_000);

  test('rejects a missing file', async () => {
    const { code, stderr } = await cli('account', 'import', join(folder.path, 'missing.jsonl'));
    expect(code).toBe(64);
    expect(stderr).toContain('missing.jsonl cannot be read');
    expect((await cli('account', 'import')).code).toBe(64);
  });
});
