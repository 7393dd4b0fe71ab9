// Random requests that try to cost a server much: long, numerous, nested and repetitive input,
// within the limits of Node.js.
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';

export interface CostlyRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

export interface Route {
  method: string;
  path: string;
}

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';
/** Node.js accepts 16 kB of headers, with the path. */
const MAX_HEADER = 12_000;
const MAX_BODY = 60_000;

/** Texts that a slow expression, parser or comparison could stumble over when they are repeated. */
const UNITS = [
  'a', 'A', '0', ' ', '\t', '.', '-', '_', '/', '../', '/..', '\\', '@', ':', ';', ',', '=', '&', '%', '%2e', '%25', '%c3%a9', '+', '!',
  '[', '{', '"', "'", '<', '&amp;', '\\u0000', 'a@', 'a.', 'a-', 'a ', '1,', '{"a":', '[[', 'é', 'e\u0301', '\u0301', '\u202e', '\u200b',
  '😀', '漢', 'ß', 'İ', 'http://', 'https://a/', 'xn--', '::', '127.', 'urn:', 'Bearer ', 'a=b; ', 'a=b&', 'q=0.1,', 'eyJ', 'a.b.',
]; // biome-ignore format: a list
const MEMBERS = [
  'client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'state', 'nonce', 'prompt', 'max_age', 'code',
  'code_verifier', 'code_challenge', 'grant_type', 'refresh_token', 'token', 'resource', 'audience', 'request', 'request_uri', 'claims',
  'id_token_hint', 'login_hint', 'acr_values', 'ui_locales', 'client_assertion', 'client_assertion_type', 'device_code', 'user_code',
  'email', 'password', 'name', 'return_to', 'authorization_details', 'redirect_uris', 'grant_types', 'jwks', 'jwks_uri', 'client_name',
  'contacts', 'username', 'otp', 'capabilities', 'agent_id', 'subject_token', 'actor_token', 'post_logout_redirect_uri', 'csrf', 'cursor',
]; // biome-ignore format: a list
const HEADERS = [
  'accept', 'accept-language', 'accept-encoding', 'authorization', 'cookie', 'dpop', 'origin', 'referer', 'user-agent', 'x-api-key',
  'x-client-cert', 'x-csrf-token', 'x-request-id', 'if-none-match', 'content-type', 'forwarded', 'sec-fetch-site', 'range',
]; // biome-ignore format: a list

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const bigKey = generateKeyPairSync('rsa', { modulusLength: 8192 }).publicKey.export({ format: 'jwk' });
const HUGE_NUMBER = Buffer.alloc(4000, 255).toString('base64url');

/** Creates the generator. `clientId` and `basic` belong to registered clients. */
export function costlyRequest(routes: Route[], { clientId, basic }: { clientId: string; basic: string }) {
  const long = (max: number) =>
    fc
      .tuple(fc.constantFrom(...UNITS), fc.constantFrom('', '!', '@', '\n', '"', ' x'), fc.integer({ min: 50, max }))
      .map(([unit, end, length]) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length) + end);
  const text = (max: number) =>
    fc.oneof({ weight: 3, arbitrary: long(max) }, { weight: 2, arbitrary: token(max) }, nestedJson(max), wideJson(max));
  const pairs = (max: number) => fc.oneof(fewPairs(max), manyPairs(max), knownPairs(max));

  return fc
    .record({
      route: fc.constantFrom(...routes),
      parameter: long(300),
      query: fc.option(pairs(MAX_HEADER / 2), { freq: 2 }),
      headers: fc.dictionary(fc.constantFrom(...HEADERS), headerValue(), { maxKeys: 2 }),
      isBasic: fc.boolean(),
      body: fc.oneof(
        pairs(MAX_BODY).map((content) => ({ type: FORM, content })),
        jsonBody().map((content) => ({ type: JSON_TYPE, content })),
      ),
    })
    .map(toRequest);

  /** A JWT, or a part of one, whose header or claims are large. */
  function token(max: number): fc.Arbitrary<string> {
    const header = fc.constantFrom(
      { alg: 'RS256', kid: 'x' },
      { alg: 'none' },
      { alg: 'RSA-OAEP', enc: 'A128CBC-HS256' },
      { alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1_000_000_000, p2s: 'eA' },
      { typ: 'dpop+jwt', alg: 'RS256', jwk: bigKey },
      { typ: 'dpop+jwt', alg: 'RS256', jwk: { ...bigKey, e: HUGE_NUMBER } },
      { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256', x: HUGE_NUMBER, y: HUGE_NUMBER } },
    );
    return fc
      .tuple(header, fc.constantFrom('aud', 'sub', 'scope', 'claims'), long(Math.floor(max / 3)))
      .map(([head, name, value]) => {
        const claims = { iss: clientId, sub: clientId, jti: 'x', iat: 1, exp: 9e9, [name]: value.split(/[, ]/) };
        return `${encode(head)}.${encode(claims)}.${HUGE_NUMBER.slice(0, 1366)}`.slice(0, max);
      });
  }

  function nestedJson(max: number): fc.Arbitrary<string> {
    return fc.tuple(fc.constantFrom('[', '{"a":', '[{"a":['), fc.boolean()).map(([open, isClosed]) => {
      const count = Math.floor(max / (open.length * 3));
      const close = [...open]
        .reverse()
        .map((one) => ({ '[': ']', '{': '}' })[one] ?? '')
        .join('');
      return open.repeat(count) + (isClosed ? `1${close.repeat(count)}` : '');
    });
  }

  function wideJson(max: number): fc.Arbitrary<string> {
    return fc.constantFrom(
      JSON.stringify(Array.from({ length: max / 12 }, (_, n) => `a${n}`)),
      JSON.stringify(Object.fromEntries(Array.from({ length: max / 20 }, (_, n) => [`member-${n}`, n]))),
      JSON.stringify(Array.from({ length: max / 40 }, (_, n) => ({ type: 'agent_action', n }))),
    );
  }

  function fewPairs(max: number): fc.Arbitrary<string> {
    const pair = fc.tuple(fc.constantFrom(...MEMBERS), text(Math.floor(Math.min(max / 3, 16_000))));
    return fc.array(pair, { minLength: 1, maxLength: 3 }).map((list) => toQuery(list).slice(0, max));
  }

  /** Returns as many parameters as fit: with short names, or the same name each time. */
  function manyPairs(max: number): fc.Arbitrary<string> {
    return fc
      .tuple(fc.constantFrom('', '', ...MEMBERS), fc.constantFrom('', 'x', '%2f', 'https://a.example/k/../'))
      .map(([name, value]) => {
        const pairs = Array.from({ length: max / 3 }, (_, n) => `${name || n.toString(36)}=${value}`);
        return pairs.join('&').slice(0, max);
      });
  }

  /** Parameters as an app sends them, with one that is large. */
  function knownPairs(max: number): fc.Arbitrary<string> {
    const known = {
      client_id: clientId,
      redirect_uri: 'https://acme.example/cb',
      response_type: 'code',
      scope: Array.from({ length: 50 }, (_, n) => `scope-${n}`).join(' '),
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    };
    const resources = Array.from({ length: 10 }, (_, n) => [
      'resource',
      `https://a${n}.example${'/k/..'.repeat(max / 200)}`,
    ]);
    return fc
      .tuple(fc.constantFrom(...MEMBERS), text(Math.floor(Math.min(max / 3, 16_000))), fc.boolean())
      .map(([name, value, hasResources]) =>
        toQuery([...Object.entries({ ...known, [name]: value }), ...(hasResources ? resources : [])] as [
          string,
          string,
        ][]),
      );
  }

  function headerValue(): fc.Arbitrary<string> {
    return fc
      .tuple(fc.constantFrom('', 'Bearer ', 'DPoP ', 'Basic ', 'signet_login=', 'cap_access='), text(MAX_HEADER / 2))
      .map(([prefix, value]) => prefix + value.replace(/[^\x20-\x7e]/g, '').trim());
  }

  function jsonBody(): fc.Arbitrary<string> {
    const value = fc.oneof(
      text(16_000),
      fc.constantFrom(...UNITS).map((unit) => Array.from({ length: 2000 }, (_, n) => `https://a.example/${unit}${n}`)),
      fc.constant({ keys: Array.from({ length: 10 }, (_, n) => ({ ...bigKey, kid: String(n) })) }),
      fc.constant({
        keys: Array.from({ length: 400 }, (_, n) => ({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: String(n) })),
      }),
    );
    const members = fc.dictionary(fc.constantFrom(...MEMBERS), value, { minKeys: 1, maxKeys: 3 });
    return fc.oneof(
      members.map((one) => JSON.stringify({ redirect_uris: ['https://acme.example/cb'], ...one }).slice(0, MAX_BODY)),
      nestedJson(MAX_BODY),
      wideJson(MAX_BODY),
    );
  }

  function toRequest(made: {
    route: Route;
    parameter: string;
    query: string | null;
    headers: Record<string, string>;
    isBasic: boolean;
    body: { type: string; content: string };
  }): CostlyRequest {
    const { route, parameter, query, headers, isBasic, body } = made;
    const path = route.path.replace(/:\w+/g, () => encodeURIComponent(parameter.toWellFormed()).slice(0, 500));
    const hasBody = /^(POST|PUT|PATCH)$/.test(route.method);
    return {
      method: route.method,
      path: `${path}${query ? `?${query.slice(0, MAX_HEADER / 2)}` : ''}`,
      headers: {
        ...(isBasic && { authorization: basic }),
        ...(hasBody && { 'content-type': body.type }),
        ...headers,
      },
      body: hasBody ? body.content : undefined,
    };
  }
}

const toQuery = (pairs: [string, string][]) =>
  pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&');
