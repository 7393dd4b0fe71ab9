// Validation and normalization of client metadata.

import { describe, expect, it } from 'vitest';
import { sameLoopback } from '../../../src/core/clients/loopback-redirect.js';
import {
  firstPartyError,
  MetadataError,
  type MetadataRules,
  normalizeMetadata,
} from '../../../src/core/clients/metadata.js';
import { DEVICE_GRANT } from '../../support/device.js';

const SCOPES = ['openid', 'email', 'memory:read'];
const ANONYMOUS: MetadataRules = {
  anonymous: true,
  byAdmin: false,
  scopes: SCOPES,
  redirectHosts: [],
  bounds: { clientKeys: 10, storedBytes: 8192 },
};
const WITH_TOKEN: MetadataRules = { ...ANONYMOUS, anonymous: false };
const ADMIN: MetadataRules = { ...WITH_TOKEN, byAdmin: true };
const GOOD = { redirect_uris: ['https://app.example/cb'] };
function errorOf(metadata: object, rules = ANONYMOUS): string | undefined {
  try {
    normalizeMetadata({ ...GOOD, ...metadata }, rules);
  } catch (error) {
    expect(error).toBeInstanceOf(MetadataError);
    return (error as MetadataError).code;
  }
  return undefined;
}

/** Yields pseudo-random texts of awkward characters, the same in each run. */
function* awkwardTexts(count: number): Generator<string> {
  const pieces = [
    'https:',
    'http:',
    '//',
    '/',
    '\\',
    '@',
    ':',
    '#',
    '?',
    '*',
    '%',
    ' ',
    '\t',
    '\n',
    '\u0000',
    '\u202e',
    '\u00a0',
    'localhost',
    '127.0.0.1',
    '[::1]',
    'evil.example',
    'app.example',
    'cb',
    '..',
    'javascript:',
    'data:',
    '443',
    'ü',
    '0x7f.1',
    '.',
    '-',
  ];
  let seed = 42;
  const next = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  for (let n = 0; n < count; n += 1) {
    yield ['https://', 'http://', ''][next(3)]! +
      Array.from({ length: 1 + next(6) }, () => pieces[next(pieces.length)]).join('');
  }
}

describe('a redirect URI', () => {
  it('is either rejected or safe, for arbitrary text', () => {
    let accepted = 0;
    for (const uri of awkwardTexts(20_000)) {
      const error = errorOf({ redirect_uris: [uri] });
      if (error) {
        expect(error).toBe('invalid_redirect_uri');
        continue;
      }
      accepted += 1;
      const url = new URL(uri);
      expect(uri, uri).not.toMatch(/[\s#*\\\p{Cc}]/u);
      expect(['javascript:', 'data:', 'file:', 'blob:', 'vbscript:'], uri).not.toContain(url.protocol);
      if (/^https?:$/.test(url.protocol)) expect(`${url.username}${url.password}`, uri).toBe('');
      if (url.protocol === 'http:') expect(url.hostname, uri).toMatch(/^(localhost|\[::1\]|127(\.\d+){3})$/);
    }
    expect(accepted).toBeGreaterThan(100);
  });

  it.each([
    'http://app.example/cb',
    'http://localhost.evil.example/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://user@localhost/cb',
    'http://localhost@evil.example/cb',
    ' https://app.example/cb',
    'https://app.example/cb ',
    'https://app.example/cb\r\nLocation: https://evil.example',
    'https://app.example/\tcb',
    'https://app.example\\@evil.example/cb',
    'https://*.example/cb',
    'https://app.example/*',
    'https://app.example/cb#fragment',
    'https://app.example/cb#',
    'https://user:password@app.example/cb',
    'https://user@app.example/cb',
    'https://@app.example/cb',
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'blob:https://app.example/1',
    'file:///etc/passwd',
    'ftp://app.example/cb',
    'urn:ietf:wg:oauth:2.0:oob',
    'about:blank',
    '/cb',
    '//app.example/cb',
    'app.example/cb',
    '',
    `https://app.example/${'x'.repeat(2050)}`,
  ])('cannot be %j, neither alone, nor with a valid one, nor after logout', (uri) => {
    expect(errorOf({ redirect_uris: [uri] })).toBe('invalid_redirect_uri');
    expect(errorOf({ redirect_uris: [...GOOD.redirect_uris, uri] })).toBe('invalid_redirect_uri');
    expect(errorOf({ post_logout_redirect_uris: [uri] })).toBe('invalid_redirect_uri');
  });

  it.each([
    'http://localhost/cb',
    'http://localhost:1234/cb',
    'http://127.0.0.1/cb',
    'http://[::1]/cb',
    'com.example.app:/cb',
  ])('can be %j', (uri) => {
    expect(errorOf({ redirect_uris: [uri] })).toBeUndefined();
  });

  it.each([[undefined], [[]], ['https://app.example/cb'], [[{}]], [[null]]])(
    'is not accepted from the list %j',
    (redirectUris) => {
      expect(errorOf({ redirect_uris: redirectUris })).toBe('invalid_redirect_uri');
    },
  );

  it('is one of at most 20', () => {
    const many = (count: number) => ({
      redirect_uris: Array.from({ length: count }, (_, n) => `https://app.example/${n}`),
    });
    expect([errorOf(many(20)), errorOf(many(21))]).toEqual([undefined, 'invalid_redirect_uri']);
  });

  it('with a private-use scheme makes the client a native app', () => {
    expect(normalizeMetadata({ redirect_uris: ['com.example:/cb'] }, ANONYMOUS).application_type).toBe('native');
    expect(normalizeMetadata(GOOD, ANONYMOUS)).not.toHaveProperty('application_type');
  });

  it('is limited to the allowed hosts, with subdomains only for wildcard entries', () => {
    const rules = { ...ANONYMOUS, redirectHosts: ['a.example', '*.b.example'] };
    const at = (uri: string) => errorOf({ redirect_uris: [uri] }, rules);
    for (const uri of ['https://a.example/', 'https://x.b.example/', 'https://x.y.b.example/', 'http://localhost/'])
      expect(at(uri), uri).toBeUndefined();
    for (const uri of [
      'https://x.a.example/',
      'https://b.example/',
      'https://xb.example/',
      'https://a.example.evil.example/',
      'com.example:/',
    ])
      expect(at(uri), uri).toBe('invalid_redirect_uri');
  });
});

describe('a loopback redirect URI', () => {
  it.each([
    ['http://localhost:1/cb', 'http://localhost/cb', true],
    ['http://localhost/cb', 'http://localhost:1/cb', true],
    ['http://127.0.0.1:1/cb?a=b', 'http://127.0.0.1:2/cb?a=b', true],
    ['http://[::1]:1/cb', 'http://[::1]/cb', true],
    ['http://localhost:1', 'http://localhost:2', true],
    ['http://localhost:1/cb', 'http://localhost:1/CB', false],
    ['http://localhost:1/cb', 'http://localhost:1/cb/', false],
    ['http://localhost:1/cb?a', 'http://localhost:1/cb?b', false],
    ['http://localhost:1/cb#a', 'http://localhost:1/cb', false],
    ['https://localhost:1/cb', 'https://localhost:2/cb', false],
    ['http://app.example:1/cb', 'http://app.example:2/cb', false],
    ['http://localhost:1@evil.example/cb', 'http://localhost:2@evil.example/cb', false],
    ['http://user@localhost:1/cb', 'http://localhost/cb', false],
    ['http://LOCALHOST:1/cb', 'http://localhost/cb', false],
    ['http://127.1:1/cb', 'http://127.0.0.1/cb', false],
    ['http://localhost:1/a/../cb', 'http://localhost:1/cb', false],
    ['http://localhost:1/cb/../cb', 'http://localhost/cb', false],
    ['http://localhost:1/%63b', 'http://localhost/cb', false],
    ['https://localhost:1/cb', 'http://localhost/cb', false],
    ['http://127.0.0.1:1/cb', 'http://localhost/cb', false],
    ['http://127.0.0.2:1/cb', 'http://127.0.0.1/cb', false],
    ['http://[::1]:1/cb', 'http://127.0.0.1/cb', false],
    ['http://localhost.evil.example/cb', 'http://localhost/cb', false],
    ['http://localhost:1@evil.example/cb', 'http://localhost/cb', false],
    ['http://localhost:/cb', 'http://localhost/cb', false],
    ['http://localhost:1\\@evil.example/cb', 'http://localhost/cb', false],
    ['garbage', 'http://localhost/cb', false],
  ])('matches regardless of the port: %s and %s: %s', (requested, registered, same) => {
    expect(sameLoopback(requested, registered)).toBe(same);
  });
});

describe('the list of grant types', () => {
  it.each<[string, object, MetadataRules, string[]]>([
    ['defaults to the authorization code', {}, ANONYMOUS, ['authorization_code']],
    [
      'can contain all self-service types',
      { grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] },
      ANONYMOUS,
      ['authorization_code', 'refresh_token', DEVICE_GRANT],
    ],
    [
      'is narrowed without a token',
      { grant_types: ['authorization_code', 'client_credentials', 'password', 'implicit'] },
      ANONYMOUS,
      ['authorization_code'],
    ],
    [
      'is narrowed with an initial access token',
      { grant_types: ['authorization_code', 'client_credentials'] },
      WITH_TOKEN,
      ['authorization_code'],
    ],
    [
      'can contain client_credentials if an administrator sets it',
      { grant_types: ['client_credentials'], redirect_uris: [] },
      ADMIN,
      ['client_credentials'],
    ],
    [
      'contains each type once',
      { grant_types: ['authorization_code', 'authorization_code'] },
      ANONYMOUS,
      ['authorization_code'],
    ],
  ])('%s', (_name, metadata, rules, granted) => {
    expect(normalizeMetadata({ ...GOOD, ...metadata }, rules).grant_types).toEqual(granted);
  });

  it('implies no response type without a grant that redirects', () => {
    expect(normalizeMetadata({ grant_types: [DEVICE_GRANT] }, ANONYMOUS).response_types).toEqual([]);
    expect(normalizeMetadata(GOOD, ANONYMOUS).response_types).toEqual(['code']);
  });

  it('requires client authentication if it contains client_credentials', () => {
    const machine = { grant_types: ['client_credentials'], redirect_uris: [] };
    expect(errorOf({ ...machine, token_endpoint_auth_method: 'none' }, ADMIN)).toBe('invalid_client_metadata');
    expect(errorOf({ ...machine, token_endpoint_auth_method: 'private_key_jwt' }, ADMIN)).toBeUndefined();
  });
});

describe('client metadata', () => {
  it('is stored with its scope narrowed to existing scopes', () => {
    expect(normalizeMetadata({ ...GOOD, scope: 'openid root openid memory:read' }, ANONYMOUS).scope).toBe(
      'openid memory:read',
    );
    expect(errorOf({ scope: 'root' })).toBe('invalid_client_metadata');
    expect(normalizeMetadata(GOOD, ANONYMOUS)).not.toHaveProperty('scope');
  });

  it.each<[string, object]>([
    ['a name of more than 100 characters', { client_name: 'x'.repeat(101) }],
    ['a name with a control character', { client_name: 'App\u0000' }],
    ['a name with a bidirectional override', { client_name: 'App\u202e' }],
    ['a name that is not a string', { client_name: ['App'] }],
    ['a logo with a script URL', { logo_uri: 'javascript:alert(1)' }],
    ['a policy over http', { policy_uri: 'http://app.example/policy' }],
    ['a home page with a line break', { client_uri: 'https://app.example/\r\n' }],
    ['a hundred contacts', { contacts: Array(100).fill('a@example.com') }],
    ['no usable grant type', { grant_types: ['password'] }],
    ['only refresh tokens', { grant_types: ['refresh_token'] }],
    ['grant types that are not an array', { grant_types: 'authorization_code' }],
  ])('cannot have %s', (_case, metadata) => {
    expect(errorOf(metadata)).toBe('invalid_client_metadata');
  });

  it.each(['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri'])(
    'can have %s only with an initial access token',
    (member) => {
      const metadata = { [member]: 'https://app.example/x' };
      expect(errorOf(metadata, ANONYMOUS)).toBe('invalid_client_metadata');
      expect(errorOf(metadata, WITH_TOKEN)).toBeUndefined();
    },
  );

  it('of a first-party client can redirect only to https URLs that are not loopback', () => {
    expect(firstPartyError(['https://app.example/cb'])).toBeUndefined();
    for (const uri of ['http://localhost/cb', 'https://localhost/cb', 'https://127.0.0.1/cb', 'com.example:/cb']) {
      expect(firstPartyError(['https://app.example/cb', uri]), uri).toContain(uri);
    }
  });
});
