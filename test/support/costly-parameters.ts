// Random parameters that try to cost a server much: many, long, repeated, with large tokens. The
// same as members of JSON.
import fc from 'fast-check';
import { forgedToken, RSA_KEYS } from './costly-credentials.js';
import { longText, nestedJson, text, UNITS, wideJson } from './costly-texts.js';

const MEMBERS = [
  'client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'state', 'nonce', 'prompt', 'max_age', 'code',
  'code_verifier', 'code_challenge', 'grant_type', 'refresh_token', 'token', 'resource', 'audience', 'request', 'request_uri', 'claims',
  'id_token_hint', 'login_hint', 'acr_values', 'ui_locales', 'client_assertion', 'client_assertion_type', 'device_code', 'user_code',
  'email', 'password', 'name', 'return_to', 'authorization_details', 'redirect_uris', 'grant_types', 'jwks', 'jwks_uri', 'client_name',
  'contacts', 'username', 'otp', 'capabilities', 'agent_id', 'subject_token', 'actor_token', 'post_logout_redirect_uri', 'csrf', 'cursor',
  'scopes', 'proof', 'secret', 'agent_name', 'credential', 'access_token', 'web_origins', 'limit', 'slug', 'binding_message',
]; // biome-ignore format: a list

/** Creates the generators. `clientId` belongs to a registered client. */
export function costlyParameters(clientId: string) {
  return { pairs, token, jsonBody };

  function pairs(max: number): fc.Arbitrary<string> {
    return fc.oneof(fewPairs(max), manyPairs(max), knownPairs(max));
  }

  /** A JWT, or a part of one, whose header or claims are large. */
  function token(max: number): fc.Arbitrary<string> {
    const key = RSA_KEYS[2]!;
    const header = fc.constantFrom(
      { alg: 'RS256', kid: 'x' },
      { alg: 'none' },
      { alg: 'RSA-OAEP', enc: 'A128CBC-HS256' },
      { alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1_000_000_000, p2s: 'eA' },
      { typ: 'dpop+jwt', alg: 'RS256', jwk: key.jwk },
      { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256', x: key.jwk.n, y: key.jwk.n } },
    );
    return fc
      .tuple(header, fc.constantFrom('aud', 'sub', 'scope', 'claims'), longText(Math.floor(max / 3)))
      .map(([head, name, value]) => {
        const claims = { iss: clientId, sub: clientId, jti: 'x', iat: 1, exp: 9e9, [name]: value.split(/[, ]/) };
        return forgedToken(head, claims, key).slice(0, max);
      });
  }

  function fewPairs(max: number): fc.Arbitrary<string> {
    const length = Math.floor(Math.min(max / 3, 16_000));
    const pair = fc.tuple(fc.constantFrom(...MEMBERS), fc.oneof(text(length), token(length)));
    return fc.array(pair, { minLength: 1, maxLength: 3 }).map((list) => toQuery(list).slice(0, max));
  }

  /** Returns as many parameters as fit: with short names, or the same name each time. */
  function manyPairs(max: number): fc.Arbitrary<string> {
    return fc
      .tuple(fc.constantFrom('', '', ...MEMBERS), fc.constantFrom('', 'x', '%2f', '%', 'https://a.example/k/../'))
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
    const resources = Array.from({ length: 10 }, (_, n): [string, string] => [
      'resource',
      `https://a${n}.example${'/k/..'.repeat(max / 200)}`,
    ]);
    const length = Math.floor(Math.min(max / 3, 16_000));
    return fc
      .tuple(fc.constantFrom(...MEMBERS), fc.oneof(text(length), token(length)), fc.boolean())
      .map(([name, value, hasResources]) =>
        toQuery([...Object.entries({ ...known, [name]: value }), ...(hasResources ? resources : [])]),
      );
  }

  function jsonBody(max: number): fc.Arbitrary<string> {
    const value = fc.oneof(
      text(16_000),
      fc.constantFrom(...UNITS).map((unit) => Array.from({ length: 2000 }, (_, n) => `https://a.example/${unit}${n}`)),
      fc.constant({ keys: RSA_KEYS.map(({ jwk }, n) => ({ ...jwk, kid: String(n) })) }),
      fc.constant({
        keys: Array.from({ length: 400 }, (_, n) => ({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: String(n) })),
      }),
    );
    const members = fc.dictionary(fc.constantFrom(...MEMBERS), value, { minKeys: 1, maxKeys: 3 });
    return fc.oneof(
      members.map((one) => JSON.stringify({ redirect_uris: ['https://acme.example/cb'], ...one }).slice(0, max)),
      nestedJson(max),
      wideJson(max),
    );
  }
}

export const toQuery = (pairs: [string, string][]) =>
  pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&');
