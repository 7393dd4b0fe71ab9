// Keys of external issuers: fetched on demand, cached, and kept during outages.
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createJsonClient } from '../../../src/base/http-client.js';
import { createLog } from '../../../src/base/log.js';
import { createIssuerKeys } from '../../../src/core/credentials/issuer-keys.js';
import { generateSigningPair, openIssuer, type SigningPair, signToken } from '../../support/external-issuer.js';
import { movableClock } from '../../support/movable-clock.js';

const first = await generateSigningPair('ES256', 'first');
const second = await generateSigningPair('ES256', 'second');
const MINUTE_MS = 60_000;

let external: Awaited<ReturnType<typeof openIssuer>>;
let time: ReturnType<typeof movableClock>;
let lines: string[];
let find: ReturnType<typeof createIssuerKeys>;
beforeEach(async () => {
  external = await openIssuer(first);
  time = movableClock();
  lines = [];
  find = createIssuerKeys({
    issuer: external.issuer,
    requestJson: createJsonClient(),
    clock: time.clock,
    log: createLog('warn', { write: (line) => lines.push(line) }),
  });
});
afterEach(() => external.close());

const timesFetched = () => external.requestedPaths.filter((path) => path === '/keys').length;

async function verify({ privateKey, kid }: SigningPair, header: object = { kid }) {
  const token = await signToken(privateKey, 'ES256', { sub: 'x' }, { ...header });
  expect(decodeProtectedHeader(token).alg).toBe('ES256');
  return jwtVerify(token, find, { algorithms: ['ES256'] }).then(
    () => 'verified',
    (error) => error.code as string,
  );
}

describe('the key set of an external issuer', () => {
  it('is fetched once for concurrent tokens', async () => {
    expect(await Promise.all(Array.from({ length: 20 }, () => verify(first)))).toEqual(Array(20).fill('verified'));
    expect(external.requestedPaths).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('verifies a token without a key id only if it has a single key', async () => {
    expect(await verify(first, {})).toBe('verified');
    external.publish([first.publicJwk, second.publicJwk]);
    time.advance(31_000);
    await verify(second);
    expect(await verify(first, {})).toBe('ERR_JWKS_MULTIPLE_MATCHING_KEYS');
  });

  it('is fetched again for an unknown key, at most every thirty seconds', async () => {
    expect(await verify(first)).toBe('verified');
    external.publish([first.publicJwk, second.publicJwk]);
    for (let n = 0; n < 5; n += 1) expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
    expect(timesFetched()).toBe(1);
    time.advance(30_001);
    expect(await verify(second)).toBe('verified');
    for (let n = 0; n < 20; n += 1) await verify(first, { kid: `unknown-${n}` });
    expect(timesFetched()).toBe(2);
  });

  it('is kept during an outage, and replaced after it', async () => {
    expect(await verify(first)).toBe('verified');
    external.setReachable(false);
    time.advance(60 * MINUTE_MS);
    expect(await verify(first)).toBe('verified');
    expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
    expect(lines.join()).toContain('cannot be fetched');
    external.setReachable(true);
    external.publish([second.publicJwk]);
    time.advance(MINUTE_MS);
    expect(await verify(second)).toBe('verified');
    expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });

  it('is refreshed after ten minutes even without unknown keys', async () => {
    expect(await verify(first)).toBe('verified');
    external.publish([second.publicJwk]);
    time.advance(10 * MINUTE_MS + 1);
    await verify(first); // still served from the cache, which is refreshed in the background
    await expect.poll(() => verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });

  it('is unavailable if it was never fetched, and is fetched again soon', async () => {
    external.setReachable(false);
    for (let n = 0; n < 5; n += 1) expect(await verify(first)).toBe('upstream_unavailable');
    expect(external.requestedPaths).toHaveLength(1);
    external.setReachable(true);
    time.advance(2001);
    expect(await verify(first)).toBe('verified');
  });

  it.each<[string, Record<string, unknown>]>([
    ['has another issuer', { issuer: 'https://other.example' }],
    ['has no jwks_uri', { jwks_uri: undefined }],
    ['has a jwks_uri over http', { jwks_uri: 'http://keys.example/keys' }],
    ['has a jwks_uri that is a file', { jwks_uri: 'file:///etc/passwd' }],
  ])('is not fetched from an issuer whose metadata %s', async (_what, change) => {
    const document = external.documents['/.well-known/openid-configuration'] as object;
    external.documents['/.well-known/openid-configuration'] = { ...document, ...change };
    expect(await verify(first)).toBe('upstream_unavailable');
    expect(timesFetched()).toBe(0);
  });

  it.each([[{ keys: 'none' }], [[]], [{}], ['text'], [null]])('is not read from %j', async (keys) => {
    external.documents['/keys'] = keys;
    expect(await verify(first)).toBe('upstream_unavailable');
  });

  it('is used without its encryption keys', async () => {
    external.publish([{ ...first.publicJwk, use: 'enc' }]);
    expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  });
});
