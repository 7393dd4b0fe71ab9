// Password hashes of other systems, each created by that system or taken from its specification.
import { performance } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { readImportedHash } from '../../../src/core/accounts/imported-hashes.js';

const HASH = 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'; // 32 bytes
const LONG = 'x'.repeat(72);

describe('an imported password hash', () => {
  it.each([
    ['OpenBSD bcrypt', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['crypt_blowfish of PHP', 'pässwörd', '$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC'],
    ['argon2 reference', 'password', `$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$${HASH}`],
    [
      'argon2 reference, two lanes',
      'password',
      '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc',
    ],
    [
      'Passlib scrypt',
      'password',
      '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
    ],
    [
      'scrypt of RFC 7914',
      'pleaseletmein',
      '$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw',
    ],
    [
      'Passlib PBKDF2',
      'password',
      '$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44',
    ],
    [
      'Passlib PBKDF2 with SHA-512',
      'pässwörd',
      '$pbkdf2-sha512$25000$....................AQ$y1jCyx0g6Lv00LtnN/5bjnFEd8cWCQ1j6yqYaKevu0QxdHuN17mnCaOjHpkcx.gNQvZ78dYyntDAHniMyZVBgQ',
    ],
    ['Django', 'lètmein', 'pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s='],
    ['Django 5', 'lètmein', 'pbkdf2_sha256$1000000$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps='],
  ])('of %s matches its password and no other', async (_system, password, stored) => {
    const compare = readImportedHash(stored)!;
    expect(await compare(password)).toBe(true);
    for (const wrong of [`${password}x`, password.slice(1), '', stored]) expect(await compare(wrong)).toBe(false);
  });

  it.each(['$2a$', '$2b$', '$2y$'])(
    '%s ignores the password after 72 bytes, also when it is longer than 255',
    async (kind) => {
      const compare = readImportedHash(`${kind}04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`)!;
      expect(await compare(LONG)).toBe(true);
      expect(await compare(`${LONG}${'y'.repeat(200)}`)).toBe(true);
      expect(await compare(LONG.slice(1))).toBe(false);
    },
  );

  it.each([
    ['empty', ''],
    ['a plain password', 'correct horse battery'],
    ['an unknown kind', '$1$abcdefgh$G/sHbJ7bmT0hSWUyrGV7y1'],
    ['bcrypt of too high a cost', '$2b$16$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i'],
    ['bcrypt of too low a cost', '$2b$03$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i'],
    ['bcrypt with the sign-extension bug', '$2x$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i'],
    ['truncated bcrypt', '$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e'],
    ['another argon2', `$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$${HASH}`],
    ['an old argon2id', `$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$${HASH}`],
    ['argon2id of more than 256 MiB', `$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$${HASH}`],
    ['argon2id of too many passes', `$argon2id$v=19$m=262144,t=17,p=1$c29tZXNhbHQ$${HASH}`],
    ['argon2id without a pass', `$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHQ$${HASH}`],
    ['argon2id of too many lanes', `$argon2id$v=19$m=65536,t=1,p=17$c29tZXNhbHQ$${HASH}`],
    ['argon2id with less memory than its lanes need', `$argon2id$v=19$m=31,t=1,p=4$c29tZXNhbHQ$${HASH}`],
    ['argon2id with a short salt', `$argon2id$v=19$m=256,t=1,p=1$c2FsdA$${HASH}`],
    ['argon2id with an empty hash', '$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$'],
    ['argon2id with a short hash', `$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$${HASH.slice(0, 20)}`],
    ['scrypt of more than 256 MiB', `$scrypt$ln=19,r=8,p=1$c29tZXNhbHQ$${HASH}`],
    ['scrypt of too many lanes', `$scrypt$ln=17,r=8,p=5$c29tZXNhbHQ$${HASH}`],
    ['scrypt with parameters that RFC 7914 forbids', `$scrypt$ln=16,r=1,p=1$c29tZXNhbHQ$${HASH}`],
    ['scrypt without cost', `$scrypt$ln=0,r=8,p=1$c29tZXNhbHQ$${HASH}`],
    ['scrypt with an empty hash', '$scrypt$ln=10,r=8,p=1$c29tZXNhbHQ$'],
    ['PBKDF2 of too many iterations', `$pbkdf2-sha256$4000001$c29tZXNhbHQ$${HASH.replaceAll('+', '.')}`],
    ['PBKDF2 without an iteration', `$pbkdf2-sha256$0$c29tZXNhbHQ$${HASH}`],
    ['PBKDF2 with the hash of another digest', `$pbkdf2-sha512$1000$c29tZXNhbHQ$${HASH}`],
    ['PBKDF2 of another digest', `$pbkdf2-md5$1000$c29tZXNhbHQ$${HASH}`],
    ['PBKDF2 with an empty hash', '$pbkdf2-sha256$1000$c29tZXNhbHQ$'],
    ['Django of too many iterations', `pbkdf2_sha256$9999999$seasalt$${HASH}=`],
    ['Django with an empty hash', 'pbkdf2_sha256$1000$seasalt$='],
    ['too long', `$2b$04$${'a'.repeat(100_000)}`],
    ['followed by a line break', '$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i\n'],
  ])('is rejected if it is %s', (_what, stored) => {
    expect(readImportedHash(stored)).toBeUndefined();
  });

  it.each([
    ['bcrypt with a cost of 11', '$2b$11$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i'],
    ['argon2id of 256 MiB', `$argon2id$v=19$m=262144,t=2,p=4$c29tZXNhbHQ$${HASH}`],
    ['scrypt of 256 MiB', `$scrypt$ln=18,r=8,p=1$c29tZXNhbHQ$${HASH}`],
    ['PBKDF2', `pbkdf2_sha256$600000$seasalt$${HASH}=`],
  ])('of %s is verified without blocking the event loop', { timeout: 30_000 }, async (_case, stored) => {
    const compare = readImportedHash(stored)!;
    await readImportedHash(`$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$${HASH}`)!('warm'); // loads the library
    const before = performance.eventLoopUtilization();
    expect(await compare('guess')).toBe(false);
    const { active, idle } = performance.eventLoopUtilization(before);
    expect(active).toBeLessThan(0.2 * (active + idle));
  });
});
