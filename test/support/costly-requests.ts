// Random requests that try to cost a server much: long, numerous, nested and repetitive input,
// within the limits of Node.js.
import fc from 'fast-check';
import {
  forgedAssertion,
  forgedChain,
  forgedProof,
  largeCertificates,
  type PublicKey,
  RSA_KEYS,
  rsaKey,
} from './costly-credentials.js';
import { costlyParameters, toQuery } from './costly-parameters.js';
import { longText, text } from './costly-texts.js';
import { FORM } from './request.js';

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

/** The routes, clients and accounts that the requests refer to. */
export interface Targets {
  routes: Route[];
  issuer: string;
  /** A public client. */
  clientId: string;
  /** Authorization headers of a client and of an account. */
  credentials: string[];
  /** A client with this key. */
  keyClient: { id: string; kid: string; key: PublicKey };
  /** A client that authenticates with a certificate. */
  certificateClient: string;
}

const JSON_TYPE = 'application/json';
/** The server accepts 32 kB of headers, with the path. */
const MAX_HEADER = 28_000;
const MAX_BODY = 60_000;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const HEADERS = [
  'accept', 'accept-language', 'accept-encoding', 'authorization', 'cookie', 'dpop', 'origin', 'referer', 'user-agent', 'x-api-key',
  'x-client-cert', 'x-csrf-token', 'x-request-id', 'if-none-match', 'content-type', 'forwarded', 'sec-fetch-site', 'range',
  'access-control-request-headers', 'access-control-request-method', 'content-encoding', 'if-modified-since', 'x-forwarded-host',
]; // biome-ignore format: a list
const COOKIES = ['signet_login', 'signet_op', 'signet_csrf', 'signet_device', 'cap_access', 'cap_refresh', 'a'];
const CONTENT_TYPES = [
  'multipart/form-data; boundary=x', 'text/plain', `${JSON_TYPE}; charset=utf-16le`, `${FORM}; charset=utf-7`,
  `${JSON_TYPE}${'; a=b'.repeat(1000)}`, `${FORM}; charset="${'\\"'.repeat(3000)}"`,
]; // biome-ignore format: a list

/** Creates the generator. */
export function costlyRequest(targets: Targets): fc.Arbitrary<CostlyRequest> {
  const { routes, issuer, clientId, credentials, keyClient, certificateClient } = targets;
  const route = fc.constantFrom(...routes);
  const { pairs, token, jsonBody } = costlyParameters(clientId);
  const chains = [...[rsaKey(2048), rsaKey(8192), rsaKey(3072, 3072)].map(forgedChain), ...largeCertificates()];

  return fc.oneof(
    { weight: 8, arbitrary: randomRequest() },
    { weight: 1, arbitrary: requestWithProof() },
    { weight: 1, arbitrary: requestWithAssertion() },
    { weight: 1, arbitrary: requestWithChain() },
    { weight: 1, arbitrary: requestWithManyHeaders() },
  );

  function randomRequest(): fc.Arbitrary<CostlyRequest> {
    return fc
      .record({
        route,
        parameter: longText(500),
        query: fc.option(pairs(MAX_HEADER / 2), { freq: 2 }),
        headers: fc.dictionary(fc.constantFrom(...HEADERS), headerValue(), { maxKeys: 2 }),
        authorization: fc.option(fc.constantFrom(...credentials), { freq: 3 }),
        body: fc.oneof(
          pairs(MAX_BODY).map((content) => ({ type: FORM, content })),
          jsonBody(MAX_BODY).map((content) => ({ type: JSON_TYPE, content })),
          fc.tuple(fc.constantFrom(...CONTENT_TYPES), text(MAX_BODY)).map(([type, content]) => ({ type, content })),
        ),
      })
      .map(({ route, parameter, query, headers, authorization, body }) => {
        const hasBody = /^(POST|PUT|PATCH)$/.test(route.method);
        return {
          method: route.method,
          path: `${pathOf(route, parameter)}${query ? `?${query}` : ''}`,
          headers: {
            ...(authorization && { authorization }),
            ...(hasBody && { 'content-type': body.type }),
            ...headers,
          },
          body: hasBody ? body.content : undefined,
        };
      });
  }

  /** A DPoP proof for this very request, with a key of the client's choice. */
  function requestWithProof(): fc.Arbitrary<CostlyRequest> {
    return fc
      .tuple(route, fc.constantFrom(...RSA_KEYS), fc.constantFrom('DPoP x', ...credentials))
      .map(([one, key, authorization]) => ({
        method: one.method,
        path: pathOf(one, 'x'),
        headers: {
          authorization,
          dpop: forgedProof(key, one.method, `${issuer}${pathOf(one, 'x')}`),
          ...formType(one),
        },
        body: bodyOf(one, `grant_type=client_credentials&client_id=${clientId}`),
      }));
  }

  function requestWithAssertion(): fc.Arbitrary<CostlyRequest> {
    const path = fc.constantFrom('/oauth/token', '/oauth/par', '/oauth/device', '/oauth/introspect', '/oauth/ciba');
    return fc
      .tuple(path, fc.constantFrom('aud', 'jti', 'cnf', 'authorization_details'), text(14_000), fc.boolean())
      .map(([path, name, value, isList]) => {
        const claims = { [name]: isList ? value.split(/[ ,]/) : value };
        const client_assertion = forgedAssertion(keyClient.key, { ...keyClient, issuer }, claims);
        const form = { client_assertion_type: ASSERTION_TYPE, client_assertion, grant_type: 'client_credentials' };
        return { method: 'POST', path, headers: { 'content-type': FORM }, body: toQuery(Object.entries(form)) };
      });
  }

  /** A certificate chain from a trusted proxy. */
  function requestWithChain(): fc.Arbitrary<CostlyRequest> {
    return fc.tuple(route, fc.constantFrom(...chains), fc.boolean()).map(([one, chain, isToken]) => {
      const target = isToken ? { method: 'POST', path: '/oauth/token' } : one;
      return {
        method: target.method,
        path: pathOf(target, 'x'),
        headers: { 'x-client-cert': chain, ...formType(target) },
        body: bodyOf(target, `grant_type=client_credentials&client_id=${certificateClient}`),
      };
    });
  }

  function requestWithManyHeaders(): fc.Arbitrary<CostlyRequest> {
    const cookies = fc
      .tuple(fc.constantFrom(...COOKIES), longText(60), fc.integer({ min: 1, max: MAX_HEADER }))
      .map(([name, value, length]) => ({
        cookie: printable(`${name}=${value}; `.repeat(MAX_HEADER / 4).slice(0, length)),
      }));
    const lines = fc
      .tuple(fc.constantFrom('x', 'accept', 'cookie', 'sec-ch', 'x-forwarded-for-'), fc.integer({ min: 1, max: 900 }))
      .map(([prefix, count]) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}-${n}`, 'a=b'])));
    return fc.tuple(route, fc.oneof(cookies, lines)).map(([one, headers]) => ({
      method: one.method,
      path: pathOf(one, 'x'),
      headers: { ...headers, ...formType(one) },
      body: bodyOf(one, 'a=b'),
    }));
  }

  function headerValue(): fc.Arbitrary<string> {
    return fc
      .tuple(
        fc.constantFrom('', 'Bearer ', 'DPoP ', 'Basic ', ...COOKIES.map((name) => `${name}=`)),
        fc.oneof(text(MAX_HEADER / 2), token(MAX_HEADER / 2)),
      )
      .map(([prefix, value]) => printable(prefix + value));
  }
}

const hasForm = ({ method }: Route) => method === 'POST';
const formType = (route: Route): Record<string, string> => (hasForm(route) ? { 'content-type': FORM } : {});
const bodyOf = (route: Route, form: string) => (hasForm(route) ? form : undefined);

const pathOf = ({ path }: Route, parameter: string) =>
  path.replace(/:\w+/g, () => encodeURIComponent(parameter.toWellFormed()).slice(0, 500));

/** Returns what Node.js sends in a header. */
const printable = (value: string) => value.replace(/[^\x20-\x7e\x80-\xff]/g, '').trim();
