// Random values, derived keys and encryption.
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { constantTimeEqual, createSecrets, hmacSha256, randomToken, sha256, uuidv7 } from '../../src/base/crypto.js';
import { loadSecrets } from '../../src/base/master-secret.js';

const [ONE, TWO] = ['one master secret of 32 characters', 'two master secrets of 32 characters'];

describe('secrets', () => {
  it('derive one stable key for each purpose', () => {
    const secrets = createSecrets(ONE);
    expect(secrets.key('a')).toHaveLength(32);
    expect(secrets.key('a').equals(createSecrets(ONE).key('a'))).toBe(true);
    expect(secrets.key('a').equals(secrets.key('b'))).toBe(false);
    expect(secrets.key('a').equals(createSecrets(TWO).key('a'))).toBe(false);
  });

  it('decrypt only what they encrypted', async () => {
    const secrets = createSecrets(ONE);
    const sealed = await secrets.seal('a', 'text ü');
    expect(await secrets.open('a', sealed)).toBe('text ü');
    expect(await secrets.seal('a', 'text ü')).not.toBe(sealed);
    expect(Buffer.from(sealed, 'base64url').toString()).not.toContain('text');
    await expect(secrets.open('b', sealed)).rejects.toThrow(/another SECRET/);
    await expect(createSecrets(TWO).open('a', sealed)).rejects.toThrow(/another SECRET/);
    for (const part of [1, 2, 3, 4]) {
      const parts = sealed.split('.');
      parts[part] = `${parts[part]!.startsWith('A') ? 'B' : 'A'}${parts[part]!.slice(1)}`;
      await expect(secrets.open('a', parts.join('.')), `part ${part}`).rejects.toThrow();
    }
  });

  it('decrypt with the previous secret, and encrypt with the current one', async () => {
    const old = await createSecrets(ONE).seal('a', 'text');
    const rotated = createSecrets(TWO, ONE);
    expect(await rotated.open('a', old)).toBe('text');
    expect(await createSecrets(TWO).open('a', await rotated.seal('a', 'text'))).toBe('text');
    expect(rotated.keys('a').map((key) => key.toString('hex'))).toEqual([
      createSecrets(TWO).key('a').toString('hex'),
      createSecrets(ONE).key('a').toString('hex'),
    ]);
  });

  it('decrypt bound text only for what it is bound to', async () => {
    const secrets = createSecrets(ONE);
    const sealed = await secrets.seal('a', 'text', 'row 1');
    expect(await secrets.open('a', sealed, 'row 1')).toBe('text');
    for (const other of ['row 2', '', undefined]) await expect(secrets.open('a', sealed, other)).rejects.toThrow();
    await expect(secrets.open('a', await secrets.seal('a', 'text'), 'row 1')).rejects.toThrow();
    const header = { alg: 'dir', enc: 'A256GCM', for: 'row 2' };
    const bound = [Buffer.from(JSON.stringify(header)).toString('base64url'), ...sealed.split('.').slice(1)].join('.');
    await expect(secrets.open('a', bound, 'row 2')).rejects.toThrow();
    expect(await createSecrets(TWO, ONE).open('a', sealed, 'row 1')).toBe('text');
  });

  it('are created once, in a file that only its owner can read', () => {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'signet-secret-')), 'data');
    const source = { secret: undefined, secretPrevious: undefined, dataDir } as Parameters<typeof loadSecrets>[0];
    const first = loadSecrets(source);
    expect(statSync(join(dataDir, 'secret')).mode & 0o777).toBe(0o600);
    expect(loadSecrets(source).key('a').equals(first.key('a'))).toBe(true);
    expect(readFileSync(join(dataDir, 'secret'), 'utf8').trim()).toHaveLength(43);
    writeFileSync(join(dataDir, 'secret'), 'short');
    expect(() => loadSecrets(source)).toThrow(/fewer than 32/);
  });
});

describe('random tokens and hashes', () => {
  it('are URL-safe and of the requested length', () => {
    const tokens = Array.from({ length: 1000 }, () => randomToken());
    expect(new Set(tokens).size).toBe(1000);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
    expect(Buffer.from(randomToken(16), 'base64url')).toHaveLength(16);
  });

  it('use standard SHA-256 and HMAC', () => {
    expect(sha256('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0');
    expect(hmacSha256(Buffer.from('key'), 'The quick brown fox jumps over the lazy dog')).toBe(
      Buffer.from('f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8', 'hex').toString('base64url'),
    );
  });

  it.each([
    ['a', 'a', true],
    ['a', 'b', false],
    ['', '', true],
    ['a', 'aa', false],
    ['ü', 'u', false],
  ])('are compared in constant time: %j with %j is %s', (a, b, same) => {
    expect(constantTimeEqual(a, b)).toBe(same);
  });

  it('sort by time if they are UUIDs of version 7', () => {
    const now = Date.UTC(2030, 0, 1);
    const ids = [0, 1, 1000, 1e9].map((ms) => uuidv7(new Date(now + ms)));
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  });
});
