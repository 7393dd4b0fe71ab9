// What no endpoint of the JSON API may stumble over: each answers a 4xx with the error body, and
// nothing is written. The endpoints are those of the OpenAPI document, so a new one joins by
// itself. More of this, at random, in security/bad-input.all.test.ts.

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenApi, type Operation, readContract } from '../../support/api-contract.js';
import { logInWithCookies } from '../../support/api-cookies.js';
import { FORM, sendRequest, type TestResponse } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const JSON_TYPE = 'application/json';
const BOM = '\ufeff';
const DEPTH = 10_000;

/** Texts that cannot be stored, or that no character stands for. */
const TEXTS: Record<string, string> = {
  'a NUL character': 'a\\u0000b',
  'half a surrogate pair': 'a\\ud800b',
  'the other half': '\\udc00',
  'five thousand characters': 'x'.repeat(5000),
};

type Sent = { type?: string; body: string | Buffer; headers?: Record<string, string>; status?: number };

/** Bodies that are wrong whatever the endpoint wants. `status` where only one will do. */
const BODIES: Record<string, Sent> = {
  'malformed JSON': { body: '{"email":', status: 400 },
  'two values': { body: '{}{}', status: 400 },
  'an array': { body: '[]', status: 400 },
  'an array of itself': { body: '[{"email":"a@example.com"}]', status: 400 },
  null: { body: 'null', status: 400 },
  'a number': { body: '1e400', status: 400 },
  'a text': { body: '"email"', status: 400 },
  true: { body: 'true', status: 400 },
  'single quotes': { body: "{'email':'a'}", status: 400 },
  'arrays, very deep': { body: '['.repeat(DEPTH) + ']'.repeat(DEPTH), status: 400 },
  'arrays, very deep, that never end': { body: '['.repeat(DEPTH), status: 400 },
  'objects, very deep, that never end': { body: '{"email":'.repeat(DEPTH), status: 413 },
  'objects, deep, that never end': { body: '{"email":'.repeat(5000), status: 400 },
  'ten megabytes': { body: `{"email":"${'x'.repeat(10 * 1024 * 1024)}"}`, status: 413 },
  'ten megabytes of blanks': { body: ' '.repeat(10 * 1024 * 1024), status: 413 },
  'no type': { type: '', body: '{}', status: 415 },
  'plain text': { type: 'text/plain', body: '{}', status: 415 },
  'a file upload': { type: 'multipart/form-data; boundary=x', body: '--x--', status: 415 },
  XML: { type: 'application/xml', body: '<a/>', status: 415 },
  'a type that is none': { type: 'json', body: '{}', status: 415 },
  'a packed body': { body: gzipSync('{}'), headers: { 'content-encoding': 'gzip' }, status: 415 },
  'a body that says it is packed': { body: '{}', headers: { 'content-encoding': 'br' }, status: 415 },
  'UTF-16': { type: `${JSON_TYPE}; charset=utf-16`, body: Buffer.from(`${BOM}{}`, 'utf16le'), status: 400 },
  'bytes that are no UTF-8': { body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), status: 400 },
  'an overlong encoding': { body: Buffer.from([0x22, 0xc0, 0x80, 0x22]), status: 400 },
  'NUL bytes': { body: Buffer.alloc(100), status: 400 },
};

const server: TestServer = await startServer({ settings: { TEST_AUTH: 'true' } });
const { document, operations } = await readContract(server.origin);
const all = [...operations].map(([name, operation]) => ({ name, operation }));
const withBody = all.filter(({ operation }) => operation.requestBody);

describe.each(withBody)('$name', ({ name, operation }) => {
  it.each(Object.entries(BODIES))('refuses %s', async (_what, { type = JSON_TYPE, body, headers, status }) => {
    await refuses(name, { ...(type && { 'content-type': type }), ...headers }, body, status);
  });

  const fields = fieldsOf(operation);

  it.each(Object.keys(fields))('refuses a wrong type for %s', async (field) => {
    for (const wrong of wrongTypes(fields[field]!)) {
      const { json } = await refuses(name, { 'content-type': JSON_TYPE }, `{"${field}":${wrong}}`, 400);
      expect(Object.keys(json.fields ?? {}).join()).toContain(field);
    }
  });

  it.each(textsOf(fields).flatMap((field) => Object.keys(TEXTS).map((text) => [field, text] as const)))(
    'refuses in %s %s',
    async (field, text) => {
      await refuses(name, { 'content-type': JSON_TYPE }, `{"${field}":"${TEXTS[text]}"}`, 400);
    },
  );

  it('takes a byte order mark, as it takes none, and the last of two values', async () => {
    const [plain, marked] = [await send(name, json, '{"x":1}'), await send(name, json, `${BOM}{"x":1}`)];
    expect(marked.status).toBe(plain.status);
    for (const [field] of Object.entries(fields)) {
      const answer = await send(name, json, `{"${field}":"a","${field}":[[]]}`);
      expect(answer.status).toBe(400);
    }
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'is not bent by a member named %s',
    async (member) => {
      for (const value of ['{"email":"x@example.com","password":"y"}', '{"polluted":true}', '1', 'null']) {
        const answer = await send(name, json, `{"${member}":${value},"otherwise":"nothing"}`);
        expect(answer.status, answer.text).toBeLessThan(500);
        const { polluted } = {} as { polluted?: unknown };
        expect(polluted).toBeUndefined();
        expect(typeof {}.toString).toBe('function');
      }
    },
  );

  const form = operation.requestBody!.content[FORM];
  it(form ? 'refuses a form that lacks what it needs' : 'refuses a form, where JSON is needed', async () => {
    await refuses(name, { 'content-type': FORM }, '__proto__=x&x=%00&%ff=%fe', form ? 400 : 415);
    await refuses(name, { 'content-type': `${FORM}; charset=utf-7` }, 'password=+AAA-', form ? 400 : 415);
  });
});

describe.each(all)('$name', ({ name }) => {
  it('refuses headers that nobody needs', async () => {
    const huge = await send(name, { 'x-huge': 'x'.repeat(100_000) });
    expect(huge.status).toBe(431);
    for (const headers of [
      { authorization: `Bearer ${'x'.repeat(9000)}` },
      { authorization: 'Bearer a.b.c' },
      { authorization: `Bearer ${'.'.repeat(500)}` },
      { authorization: 'Bearer \u00ff\u00fe' },
      { 'x-api-key': '\u00ff' },
      { cookie: 'cap_access=%00; cap_csrf=%; =; ;;;' },
      { cookie: `cap_access=${'e'.repeat(9000)}` },
    ] as Record<string, string>[]) {
      const answer = await sendRequest(server, ...addressOf(name), headers);
      expect(answer.status, answer.text).toBeLessThan(500);
    }
  });
});

describe.each(all.filter(({ name }) => name.includes('{')))('$name', ({ name }) => {
  it.each(['%00', '%', '%ff', '..%2f..', '__proto__', 'x'.repeat(3000), '%F0%9F%98%80', "'%20OR%201=1"])(
    'refuses a path that names nothing: %s',
    async (odd) => {
      const [method, path] = addressOf(name, odd);
      const answer = await sendRequest(server, method, path, bearer);
      expect([400, 401, 403, 404]).toContain(answer.status);
      expect(answer.json).toMatchObject({ error: expect.any(String), request_id: expect.any(String) });
    },
  );
});

it('tried something', () => {
  expect(withBody.length).toBeGreaterThan(4);
  expect(withBody.flatMap(({ operation }) => textsOf(fieldsOf(operation))).length).toBeGreaterThan(15);
});

const json = { 'content-type': JSON_TYPE };
let bearer: { authorization: string };
let before: object;

beforeAll(async () => {
  // Whom no role stops, so that it is the body that is refused.
  const { id, email } = await server.account();
  await server.base.db.account.update({ where: { id }, data: { role: 'admin' } });
  bearer = (await logInWithCookies(server, email)).bearer;
  before = await written();
});
afterAll(async () => {
  expect(await written()).toEqual(before);
  expect(server.lines.filter((line) => JSON.parse(line).level === 'error')).toEqual([]);
  await server.close();
});

async function written() {
  const { account, session, refreshToken, organization, grant, client } = server.base.db;
  const { updatedAt: _moves, ...own } = await account.findFirstOrThrow({ orderBy: { createdAt: 'asc' } });
  return {
    own,
    counts: await Promise.all(
      [account, session, refreshToken, organization, grant, client].map((model) => (model as typeof account).count()),
    ),
  };
}

function send(name: string, headers: Record<string, string>, body?: string | Buffer): Promise<TestResponse> {
  return sendRequest(server, ...addressOf(name), { ...(needsLogin(name) && bearer), ...headers }, body);
}

async function refuses(name: string, headers: Record<string, string>, body: string | Buffer, status = 400) {
  const answer = await send(name, headers, body);
  expect([answer.status, answer.json.error], answer.text).toEqual([
    status,
    { 400: 'invalid_request', 413: 'payload_too_large', 415: 'unsupported_media_type' }[status],
  ]);
  expect(Object.keys(answer.json).sort()).toEqual(expect.arrayContaining(['error', 'error_description', 'request_id']));
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  return answer as TestResponse & { json: { fields?: object } };
}

const needsLogin = (name: string) => operations.get(name)!.security.every((way) => Object.keys(way).length > 0);

function addressOf(name: string, parameter = 'x'): [method: string, path: string] {
  const [method = '', path = ''] = name.split(' ');
  return [method, path.replace(/\{\w+\}/g, parameter)];
}

interface Field {
  $ref?: string;
  type?: string | string[];
  anyOf?: Field[];
  properties?: Record<string, Field>;
  required?: string[];
}

/** The members that the body of an operation may have. */
function fieldsOf({ requestBody }: Operation): Record<string, Field> {
  const { schema } = requestBody!.content[JSON_TYPE] as { schema: Field };
  const { components } = document as OpenApi;
  const named = schema.$ref ? (components.schemas[schema.$ref.split('/').at(-1)!] as Field) : schema;
  const { properties = {}, required = [] } = named;
  // Where a member may be left out, null does no harm.
  const orNull = (name: string, field: Field) =>
    required.includes(name) ? field : { anyOf: [field, { type: 'null' }] };
  return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, orNull(name, field)]));
}

const typesOf = ({ type, anyOf }: Field): string[] => [type ?? [], (anyOf ?? []).flatMap(typesOf)].flat();

const textsOf = (fields: Record<string, Field>) =>
  Object.keys(fields).filter((name) => typesOf(fields[name]!).includes('string'));

const VALUES: Record<string, string> = {
  string: '"text"',
  number: '17',
  integer: '17.5',
  boolean: 'true',
  null: 'null',
  array: '[["x"]]',
  object: '{"x":{"y":1}}',
};

/** Values of every type that the field has not. */
function wrongTypes(field: Field): string[] {
  const right = new Set(typesOf(field));
  if (right.has('integer')) right.add('number');
  return Object.keys(VALUES)
    .filter((type) => !right.has(type) || type === 'object' || type === 'array')
    .map((type) => VALUES[type]!);
}
