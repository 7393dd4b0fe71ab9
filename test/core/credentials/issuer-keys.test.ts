// The keys of an issuer elsewhere: read when they are needed, kept when it is away, and not asked
// for by every stranger's token.
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createJsonClient } from '../../../src/base/json-client.js';
import { createLog } from '../../../src/base/log.js';
import { createIssuerKeys } from '../../../src/core/credentials/issuer-keys.js';
import { makePair, openIssuer, type SigningPair, signToken } from '../../support/external-issuer.js';

const first = await makePair('ES256', 'first');
const second = await makePair('ES256', 'second');
const MINUTE_MS = 60_000;

let elsewhere: Awaited<ReturnType<typeof openIssuer>>;
let now: number;
let lines: string[];
let find: ReturnType<typeof createIssuerKeys>;
beforeEach(async () => {
  elsewhere = await openIssuer(first);
  now = Date.now();
  lines = [];
  find = createIssuerKeys({
    issuer: elsewhere.issuer,
    requestJson: createJsonClient(),
    clock: { now: () => new Date(now) },
    log: createLog('warn', { write: (line) => lines.push(line) }),
  });
});
afterEach(() => elsewhere.close());

const keyReads = () => elsewhere.asked.filter((path) => path === '/keys').length;

async function verify({ privateKey, kid }: SigningPair, header: object = { kid }) {
  const token = await signToken(privateKey, 'ES256', { sub: 'x' }, { ...header });
  expect(decodeProtectedHeader(token).alg).toBe('ES256');
  return jwtVerify(token, find, { algorithms: ['ES256'] }).then(
    () => 'good',
    (error) => error.code as string,
  );
}

it('are read once, however many tokens come at once', async () => {
  expect(await Promise.all(Array.from({ length: 20 }, () => verify(first)))).toEqual(Array(20).fill('good'));
  expect(elsewhere.asked).toEqual(['/.well-known/openid-configuration', '/keys']);
});

it('may be one without a name, where there is one only', async () => {
  expect(await verify(first, {})).toBe('good');
  elsewhere.publish([first.publicJwk, second.publicJwk]);
  now += 31_000;
  await verify(second);
  expect(await verify(first, {})).toBe('ERR_JWKS_MULTIPLE_MATCHING_KEYS');
});

it('are read again for a new key, every thirty seconds at most', async () => {
  expect(await verify(first)).toBe('good');
  elsewhere.publish([first.publicJwk, second.publicJwk]);
  for (let n = 0; n < 5; n += 1) expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(keyReads()).toBe(1);
  now += 30_001;
  expect(await verify(second)).toBe('good');
  for (let n = 0; n < 20; n += 1) await verify(first, { kid: `made up ${n}` });
  expect(keyReads()).toBe(2);
});

it('stay while the issuer is away, and a key that was withdrawn goes once it is back', async () => {
  expect(await verify(first)).toBe('good');
  elsewhere.setReachable(false);
  now += 60 * MINUTE_MS;
  expect(await verify(first)).toBe('good');
  expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(lines.join()).toContain('cannot be fetched');
  elsewhere.setReachable(true);
  elsewhere.publish([second.publicJwk]);
  now += MINUTE_MS;
  expect(await verify(second)).toBe('good');
  expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
});

it('that were withdrawn go in time though nobody asks for another', async () => {
  expect(await verify(first)).toBe('good');
  elsewhere.publish([second.publicJwk]);
  now += 10 * MINUTE_MS + 1;
  await verify(first); // the last one that is not made to wait
  await expect.poll(() => verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
});

it('that were never read are told to be missing, and are asked for again soon', async () => {
  elsewhere.setReachable(false);
  for (let n = 0; n < 5; n += 1) expect(await verify(first)).toBe('upstream_unavailable');
  expect(elsewhere.asked).toHaveLength(1);
  elsewhere.setReachable(true);
  now += 2001;
  expect(await verify(first)).toBe('good');
});

it.each<[string, Record<string, unknown>]>([
  ['calls itself otherwise', { issuer: 'https://other.example' }],
  ['has no keys', { jwks_uri: undefined }],
  ['has keys that anybody on the way could change', { jwks_uri: 'http://keys.example/keys' }],
  ['has keys in a file', { jwks_uri: 'file:///etc/passwd' }],
])('are not taken from an issuer that %s', async (_what, change) => {
  const document = elsewhere.documents['/.well-known/openid-configuration'] as object;
  elsewhere.documents['/.well-known/openid-configuration'] = { ...document, ...change };
  expect(await verify(first)).toBe('upstream_unavailable');
  expect(keyReads()).toBe(0);
});

it.each([[{ keys: 'none' }], [[]], [{}], ['text'], [null]])('are not made of %j', async (keys) => {
  elsewhere.documents['/keys'] = keys;
  expect(await verify(first)).toBe('upstream_unavailable');
});

it('for other purposes are not taken', async () => {
  elsewhere.publish([{ ...first.publicJwk, use: 'enc' }]);
  expect(await verify(first)).toBe('ERR_JWKS_NO_MATCHING_KEY');
});
