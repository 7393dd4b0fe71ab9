// Sessions, durations, API keys and permissions. Invalid values are rejected without throwing.
import fc from 'fast-check';
import { jwtVerify, SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  apiKeyLookup,
  checkPermission,
  generateApiKey,
  hasScope,
  parseDuration,
  signSession,
  verifyApiKey,
  verifySession,
} from '../../src/kit/index.js';
import { mutations } from './mutations.js';

const SECRET = 'a secret of thirty-two characters';
const key = new TextEncoder().encode(SECRET);
const user = { userId: 'user_123', email: 'alice@example.com', role: 'admin' };

afterEach(() => vi.useRealTimers());

describe('a session', () => {
  it('is returned as it was signed, with its times', () => {
    vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['Date'] });
    const payload = verifySession(signSession(user, SECRET, '2h'), SECRET);
    expect(payload).toEqual({ ...user, iat: 1_800_000_000, exp: 1_800_007_200 });
  });

  it('expires after exactly seven days', () => {
    vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['Date'] });
    const token = signSession(user, SECRET);
    vi.setSystemTime(1_800_000_000_000 + 604_799_000);
    expect(verifySession(token, SECRET)?.userId).toBe('user_123');
    vi.setSystemTime(1_800_000_000_000 + 604_800_000);
    expect(verifySession(token, SECRET)).toBeNull();
  });

  it('is a JWT that other libraries can read', async () => {
    const { payload } = await jwtVerify(signSession(user, SECRET), key, { algorithms: ['HS256'], typ: 'JWT' });
    expect(payload).toMatchObject(user);
    const byJose = await new SignJWT(user)
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuedAt()
      .setExpirationTime('1h');
    expect(verifySession(await byJose.sign(key), SECRET)).toMatchObject(user);
  });

  it('is rejected with another secret, algorithm or form', async () => {
    const token = signSession(user, SECRET);
    const [header, payload, signature] = token.split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const hs512 = new SignJWT(user)
      .setProtectedHeader({ alg: 'HS512', typ: 'JWT' })
      .setIssuedAt()
      .setExpirationTime('1h');
    const invalid = [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${header}.${payload}`,
      `${token}.${signature}`,
      `${token}=`,
      ` ${token}`,
      await hs512.sign(new TextEncoder().encode(SECRET + SECRET)),
    ];
    for (const other of invalid) expect(verifySession(other, SECRET), other).toBeNull();
    expect(verifySession(token, `${SECRET}!`)).toBeNull();
    expect(verifySession(token, '')).toBeNull();
  });

  it('is rejected without a user or an expiry', async () => {
    const sign = (claims: Record<string, unknown>) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(key);
    const [iat, exp] = [1, 9_999_999_999];
    expect(verifySession(await sign({ userId: 'a', iat, exp }), SECRET)).not.toBeNull();
    for (const claims of [
      { iat, exp },
      { userId: '', iat, exp },
      { userId: 7, iat, exp },
      { userId: 'a', iat },
      { userId: 'a', role: {}, iat, exp },
    ])
      expect(verifySession(await sign(claims), SECRET), JSON.stringify(claims)).toBeNull();
  });

  it('is not signed without a secret, a user or a duration', () => {
    expect(() => signSession(user, '')).toThrow(TypeError);
    expect(() => signSession({ userId: '' }, SECRET)).toThrow(TypeError);
    for (const maxAge of ['', '7', '7 d', '-1d', '0s', 'd', '1.5h'])
      expect(() => signSession(user, SECRET, maxAge)).toThrow(TypeError);
  });

  it('is rejected with any character changed, removed or added', () => {
    const token = signSession(user, SECRET);
    fc.assert(
      fc.property(mutations(token), (other) => verifySession(other, SECRET) === null),
      { numRuns: 500 },
    );
  });

  it('is null for any other input, which never throws', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), (token, secret) => verifySession(token as string, secret) === null),
    );
    const parts = fc.array(fc.base64String(), { minLength: 3, maxLength: 3 }).map((all) => all.join('.'));
    fc.assert(fc.property(parts, (token) => verifySession(token, SECRET) === null));
  });
});

describe('a duration', () => {
  it.each([
    ['30s', 30],
    ['30m', 1800],
    ['1h', 3600],
    ['7d', 604_800],
    ['2w', 1_209_600],
  ])('%s has %i seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it('is its amount times its unit, or NaN, and never throws', () => {
    const unit = fc.constantFrom('s', 'm', 'h', 'd', 'w');
    fc.assert(
      fc.property(fc.nat(999_999_999), unit, (n, u) => parseDuration(`${n}${u}`) === n * parseDuration(`1${u}`)),
    );
    const other = fc.anything().filter((value) => !/^\d{1,9}[smhdw]$/.test(`${safely(value)}`));
    fc.assert(fc.property(other, (value) => Number.isNaN(parseDuration(safely(value)))));
  });
});

/** Converts a value of any type to text, as callers without types do. */
function safely(value: unknown): string {
  try {
    return String(value);
  } catch {
    return '';
  }
}

describe('an API key', () => {
  it('has its prefix, 128 bits, and its own hash', async () => {
    const { key, hash, prefix } = generateApiKey();
    expect(key).toMatch(/^cap_ak_[0-9a-f]{32}$/);
    expect(prefix).toBe(key.slice(0, 'cap_ak_'.length + 8));
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(await verifyApiKey(key, hash)).toBe(true);
    expect(await verifyApiKey(generateApiKey().key, hash)).toBe(false);
    expect(generateApiKey({ prefix: 'acme_' }).prefix).toMatch(/^acme_[0-9a-f]{8}$/);
    expect(() => generateApiKey({ prefix: 'a b' })).toThrow(TypeError);
  });

  it('is looked up by its own prefix only', () => {
    const prefixes = fc.stringMatching(/^[a-z_-]{1,12}$/);
    fc.assert(
      fc.property(prefixes, (own) => {
        const { key, prefix } = generateApiKey({ prefix: own });
        return (
          apiKeyLookup(key, own) === prefix &&
          apiKeyLookup(`${key}0`, own) === null &&
          apiKeyLookup(key, `${own}x`) === null
        );
      }),
    );
  });

  it('is not recognized in any other input, which never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), fc.anything(), async (input, hash) => {
        return apiKeyLookup(input as string) === null && !(await verifyApiKey(input as string, hash as string));
      }),
    );
    const { key, hash } = generateApiKey();
    await fc.assert(fc.asyncProperty(mutations(key), async (other) => !(await verifyApiKey(other, hash))));
  });
});

describe('permissions', () => {
  it.each([
    ['ticket', 'read', ['ticket:read'], true],
    ['ticket', 'write', ['*:write'], true],
    ['ticket', 'delete', ['ticket:*'], true],
    ['ticket', 'delete', ['*:*'], true],
    ['ticket', 'delete', ['ticket:read', 'user:delete'], false],
    ['ticket', 'read', [], false],
    ['tickets', 'read', ['ticket:read', 'tick*:read', '*'], false],
    ['ticket', 'read', ['ticket:read:own', ':read', 'ticket:', 'TICKET:READ'], false],
    ['*', 'write', ['ticket:write'], false],
    ['', '', ['*:*'], false],
  ])('decide on %s:%s with %j: %s', (resource, action, granted, expected) => {
    expect(checkPermission({ resource, action }, granted)).toBe(expected);
  });

  it('match by equality or wildcard, part by part, and never throw', () => {
    const part = fc.constantFrom('a', 'b', '*', '', 'a:b');
    const grants = fc.array(
      fc.oneof(
        fc.tuple(part, part).map((two) => two.join(':')),
        fc.string(),
      ),
    );
    fc.assert(
      fc.property(part, part, grants, (resource, action, granted) => {
        const matches = (wanted: string, grantedPart: string) => grantedPart === '*' || grantedPart === wanted;
        const expected = granted.some((grant) => {
          const parts = grant.split(':');
          return (
            parts.length === 2 && parts.every(Boolean) && matches(resource, parts[0]!) && matches(action, parts[1]!)
          );
        });
        return checkPermission({ resource, action }, granted) === (expected && resource !== '' && action !== '');
      }),
    );
    fc.assert(
      fc.property(fc.anything(), (granted) => !checkPermission({ resource: 'a', action: 'b' }, granted as string[])),
    );
  });

  it.each([
    ['read:cap-table', ['read:cap-table'], true],
    ['read:cap-table', 'openid read:cap-table', true],
    ['read:cap-table', ['admin'], true],
    ['read:cap-table', ['read:*'], true],
    ['read:cap-table', ['write:cap-table', 'read:cap-tables'], false],
    ['openid', ['openid'], true],
    ['openid', ['*:*'], false],
    ['', ['', '*:*', 'admin'], false],
  ])('decide on scope %s with %j: %s', (scope, granted, expected) => {
    expect(hasScope(scope, granted)).toBe(expected);
  });
});
