// Keys of external issuers: fetched on demand, kept during outages, and not for every unknown
// token.
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJsonClient } from '../../../src/base/http-client.js';
import { createLog } from '../../../src/base/log.js';
import { createIssuerKeys } from '../../../src/core/credentials/issuer-keys.js';
import { generateSigningPair, openIssuer, type SigningPair, signToken } from '../../support/external-issuer.js';

const first = await generateSigningPair('ES256', 'first');
const second = await generateSigningPair('ES256', 'second');
const MINUTE_MS = 60_000;

let external: Awaited<ReturnType<typeof openIssuer>>;
let now: number;
let lines: string[];
let find: ReturnType<typeof createIssuerKeys>;
beforeEach(async () => {
  external = await openIssuer(first);
  now = Date.now();
  lines = [];
  find = createIssuerKeys({
    issuer: external.issuer,
    requestJson: createJsonClient(),
    clock: { now: () => new Date(now) },
    log: createLog('warn', { write: (line) => lines.push(line) }),
  });
});
afterEach(() => external.close());

const keyReads = () => external.requestedPaths.filter((path) => path === '/keys').length;

async function verify({ privateKey, kid }: SigningPair, header: object = { kid }) {
  const token = await signToken(privateKey, 'ES256', { sub: 'x' }, { ...header });
  expect(decodeProtectedHeader(token).alg).toBe('ES256');
  return jwtVerify(token, find, { algorithms: ['ES256'] }).then(
    () => 'good',
    (error) => error.code as string,
  );
}

describe('the keys of an external issuer', () => {
  it('are fetched once for concurrent tokens', async () => {
    expect(await Promise.all(Array.from({ length: 20 }, () => verify(first)))).toEqual(Array(20).fill('good'));
    expect(external.requestedPaths).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('can lack a key id if there is only one', async () => {
    expect(await verify(first, {})).toBe('good');
    external.publish([first.publicJwk, second.publicJwk]);
    now += 31_000;
    await verify(second);
    expect(await verify(first, {})).toBe('ERR_JWKS_MULTIPLE_MATCHING_KEYS');
  });

  it('are fetched again for an unknown key, at most every thirty seconds', async () => {
    expect(await verify(first)).toBe('good');
    external.publish([first.publicJwk, second.publicJwk]);
    for (let n = 0; n < 5; n += 1) expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
    expect(keyReads()).toBe(1);
    now += 30_001;
    expect(await verify(second)).toBe('good');
    for (let n = 0; n < 20; n += 1) await verify(first, { kid: `made up ${n}` });
    expect(keyReads()).toBe(2);
  });

  it('are kept during an outage, and a withdrawn key is rejected after it', async () => {
    expect(await verify(first)).toBe('good');
    external.setReachable(false);
    now += 60 * MINUTE_MS;
    expect(await verify(first)).toBe('good');
    expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
    expect(lines.join()).toContain('cannot be fetched');
    external.setReachable(true);
    external.publish([second.publicJwk]);
    now += MINUTE_MS;
    expect(await verify(second)).toBe('good');
    expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });

  it('that were withdrawn expire even without unknown keys', async () => {
    expect(await verify(first)).toBe('good');
    external.publish([second.publicJwk]);
    now += 10 * MINUTE_MS + 1;
    await verify(first); // still served from the cache, which is refreshed in the background
    await expect.poll(() => verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });

  it('that were never fetched are reported as unavailable, and are fetched again soon', async () => {
    external.setReachable(false);
    for (let n = 0; n < 5; n += 1) expect(await verify(first)).toBe('upstream_unavailable');
    expect(external.requestedPaths).toHaveLength(1);
    external.setReachable(true);
    now += 2001;
    expect(await verify(first)).toBe('good');
  });

  it.each<[string, Record<string, unknown>]>([
    ['has another issuer', { issuer: 'https://other.example' }],
    ['has no keys', { jwks_uri: undefined }],
    ['has keys over http', { jwks_uri: 'http://keys.example/keys' }],
    ['has keys in a file', { jwks_uri: 'file:///etc/passwd' }],
  ])('are not accepted from an issuer that %s', async (_what, change) => {
    const document = external.documents['/.well-known/openid-configuration'] as object;
    external.documents['/.well-known/openid-configuration'] = { ...document, ...change };
    expect(await verify(first)).toBe('upstream_unavailable');
    expect(keyReads()).toBe(0);
  });

  it.each([[{ keys: 'none' }], [[]], [{}], ['text'], [null]])('are not read from %j', async (keys) => {
    external.documents['/keys'] = keys;
    expect(await verify(first)).toBe('upstream_unavailable');
  });

  it('for encryption are not used', async () => {
    external.publish([{ ...first.publicJwk, use: 'enc' }]);
    expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });
});
