// Password rules, hashing and verification.
import { describe, expect, it } from 'vitest';
import { openPasswords } from '../../support/passwords.js';

/** Hashes that take minutes or gigabytes to verify. */
const TOO_EXPENSIVE = [
  'signet1:$2b$31$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i',
  '$2b$31$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i',
  '$argon2id$v=19$m=999999,t=999,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
];

describe('the password service', () => {
  const passwords = openPasswords();
  const errorOf = (password: string) => passwords.error(password, 'jane@example.com');

  it('hashes the whole password, beyond the 72 bytes of bcrypt', async () => {
    const prefix = 'x'.repeat(80);
    const stored = await passwords.hash(`${prefix}one`);
    expect(await passwords.verify(`${prefix}one`, stored)).toBe(true);
    expect(await passwords.verify(`${prefix}two`, stored)).toBe(false);
    expect(await passwords.verify(prefix, stored)).toBe(false);
    const withNul = await passwords.hash('before\u0000after');
    expect(await passwords.verify('before\u0000other', withNul)).toBe(false);
    expect(stored).not.toContain('x'.repeat(10));
    expect(await passwords.hash(`${prefix}one`)).not.toBe(stored);
  });

  it('treats different Unicode forms of a password as equal', async () => {
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
  ])('rejects %j', async (password) => {
    expect(await errorOf(password)).toEqual(expect.any(String));
  });

  it('looks up whole entries of the list of common passwords', async () => {
    expect(await errorOf('dalmatio')).toContain('too common'); // the last entry
    expect(await errorOf('password\n12345678')).toBeUndefined(); // two adjacent entries
    expect(await errorOf('assword\n1234567')).toBeUndefined();
    expect(await errorOf('lackhawks')).toBeUndefined(); // part of an entry
  });

  it.each(['correct horse battery', 'jäger und hörnchen', '🐢🐇🐢🐇🐢🐇🐢🐇', 'no digit no sign'])(
    'allows %j',
    async (password) => {
      expect(await errorOf(password)).toBeUndefined();
    },
  );

  it.each([null, undefined, '', 'signet1:', 'signet1:x', 'sha256:x', ...TOO_EXPENSIVE])(
    'rejects every password after the same time if the stored hash is %j',
    async (stored) => {
      const slow = openPasswords({ cost: 10 });
      await slow.verify('warm', null);
      const began = process.cpuUsage();
      expect(await slow.verify('anything', stored)).toBe(false);
      const { user } = process.cpuUsage(began);
      expect(user).toBeGreaterThan(15_000); // a third of the time of bcrypt at this cost
      expect(user).toBeLessThan(500_000);
    },
  );

  it('reports hashes of other systems and other costs as outdated', async () => {
    const costly = openPasswords({ cost: 5 });
    const stored = await passwords.hash('correct horse battery');
    expect(passwords.isOutdated(stored)).toBe(false);
    expect(await costly.verify('correct horse battery', stored)).toBe(true);
    expect(costly.isOutdated(stored)).toBe(true);
    expect(passwords.isOutdated('$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i')).toBe(true);
  });

  it('verifies an imported hash', async () => {
    const stored = '$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC';
    expect(await passwords.verify('p\u00e4ssw\u00f6rd', stored)).toBe(true);
    expect(await passwords.verify('passwort', stored)).toBe(false);
  });

  it('does not accept a stored hash as the password', async () => {
    const stored = await passwords.hash('correct horse battery');
    expect(await passwords.verify(stored, stored)).toBe(false);
    // The prefix alone does not make a bcrypt hash one of ours.
    const imported = '$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i';
    expect(await passwords.verify('x'.repeat(72), imported)).toBe(true);
    expect(await passwords.verify('x'.repeat(72), `signet1:${imported}`)).toBe(false);
  });
});

describe('the strict password policy', () => {
  const strict = openPasswords({ cost: 4, policy: 'strict' });

  it.each([
    ['Sh0rt!', 'at least 8'],
    ['no capitals 1!', 'an uppercase letter'],
    ['NO SMALL 1!', 'a lowercase letter'],
    ['No digits here!', 'a digit'],
    ['No Signs 123?', 'one of !@#$%^&*'],
    ['only small letters', 'an uppercase letter, a digit and one of !@#$%^&*'],
    ['Jane1!@Example.com', 'your e-mail address'],
  ])('rejects %j and names the reason: %s', async (password, reason) => {
    expect((await strict.error(password, 'jane1!@example.com'))?.toLowerCase()).toContain(reason.toLowerCase());
  });

  it.each(['Correct horse 1!', 'Aa1!aa1!', '\u00c4rger & 9 m\u00e4use'])('allows %j', async (password) => {
    expect(await strict.error(password, 'jane@example.com')).toBeUndefined();
  });

  it('describes its rules', () => {
    expect(strict.rule).toBe(
      'At least 8 characters, including an uppercase letter, a lowercase letter, a digit and one of !@#$%^&*.',
    );
    expect(openPasswords().rule).toMatch(/^At least 8 characters\. /);
  });
});
