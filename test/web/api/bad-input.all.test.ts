// Malformed requests to every endpoint of the JSON API: each is rejected with a 4xx error body, and
// nothing is stored. The endpoints come from the OpenAPI document, so new ones are included.
// security/bad-input.all.test.ts adds random requests.

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { type OpenApi, type Operation, readContract } from '../../support/api-contract.js';
import { logInWithCookies } from '../../support/api-cookies.js';
import { FORM, sendRequest, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const JSON_TYPE = 'application/json';
const BOM = '\ufeff';
const DEPTH = 10_000;

/** Strings that cannot be stored or are not valid Unicode. */
const STRINGS: Record<string, string> = {
  'a NUL character': 'a\\u0000b',
  'an unpaired high surrogate': 'a\\ud800b',
  'an unpaired low surrogate': '\\udc00',
  '5000 characters': 'x'.repeat(5000),
};

type MalformedBody = { type?: string; body: string | Buffer; headers?: Record<string, string>; status: number };

/** Bodies that are invalid for every endpoint, with the expected status. */
const BODIES: Record<string, MalformedBody> = {
  'malformed JSON': { body: '{"email":', status: 400 },
  'two JSON values': { body: '{}{}', status: 400 },
  'an array': { body: '[]', status: 400 },
  'an array with a valid object': { body: '[{"email":"a@example.com"}]', status: 400 },
  null: { body: 'null', status: 400 },
  'a number': { body: '1e400', status: 400 },
  'a string': { body: '"email"', status: 400 },
  true: { body: 'true', status: 400 },
  'an object in single quotes': { body: "{'email':'a'}", status: 400 },
  'deeply nested arrays': { body: '['.repeat(DEPTH) + ']'.repeat(DEPTH), status: 400 },
  'deeply nested unclosed arrays': { body: '['.repeat(DEPTH), status: 400 },
  'deeply nested unclosed objects above the size limit': { body: '{"email":'.repeat(DEPTH), status: 413 },
  'deeply nested unclosed objects': { body: '{"email":'.repeat(5000), status: 400 },
  'ten megabytes of JSON': { body: `{"email":"${'x'.repeat(10 * 1024 * 1024)}"}`, status: 413 },
  'ten megabytes of spaces': { body: ' '.repeat(10 * 1024 * 1024), status: 413 },
  'a body without a content type': { type: '', body: '{}', status: 415 },
  'plain text': { type: 'text/plain', body: '{}', status: 415 },
  'a file upload': { type: 'multipart/form-data; boundary=x', body: '--x--', status: 415 },
  XML: { type: 'application/xml', body: '<a/>', status: 415 },
  'an invalid content type': { type: 'json', body: '{}', status: 415 },
  'a compressed body': { body: gzipSync('{}'), headers: { 'content-encoding': 'gzip' }, status: 415 },
  'a false content encoding': { body: '{}', headers: { 'content-encoding': 'br' }, status: 415 },
  'UTF-16': { type: `${JSON_TYPE}; charset=utf-16`, body: Buffer.from(`${BOM}{}`, 'utf16le'), status: 400 },
  'invalid UTF-8': { body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), status: 400 },
  'an overlong UTF-8 encoding': { body: Buffer.from([0x22, 0xc0, 0x80, 0x22]), status: 400 },
  'NUL bytes': { body: Buffer.alloc(100), status: 400 },
};

const server: TestServer = await startServer({ settings: { TEST_AUTH: 'true' } });
const { document, operations } = await readContract(server.origin);
const all = [...operations].map(([name, operation]) => ({ name, operation }));
const withBody = all.filter(({ operation }) => operation.requestBody);

describe.each(withBody)('$name', ({ name, operation }) => {
  it.each(Object.entries(BODIES))('rejects %s', async (_case, { type = JSON_TYPE, body, headers, status }) => {
    await expectRejection(name, { ...(type && { 'content-type': type }), ...headers }, body, status);
  });

  const fields = fieldsOf(operation);

  it.each(Object.keys(fields))('rejects a wrong type for %s', async (field) => {
    for (const wrong of wrongTypes(fields[field]!)) {
      const { json } = await expectRejection(name, { 'content-type': JSON_TYPE }, `{"${field}":${wrong}}`, 400);
      expect(Object.keys(json.fields ?? {}).join()).toContain(field);
    }
  });

  it.each(stringFieldsOf(fields).flatMap((field) => Object.keys(STRINGS).map((text) => [field, text] as const)))(
    'rejects in the field %s %s',
    async (field, text) => {
      await expectRejection(name, { 'content-type': JSON_TYPE }, `{"${field}":"${STRINGS[text]}"}`, 400);
    },
  );

  it('ignores a byte order mark', async () => {
    const [plain, marked] = [await send(name, json, '{"x":1}'), await send(name, json, `${BOM}{"x":1}`)];
    expect(marked.status).toBe(plain.status);
  });

  it('uses the last of two members of the same name', async () => {
    for (const field of Object.keys(fields)) {
      const response = await send(name, json, `{"${field}":"a","${field}":[[]]}`);
      expect(response.status).toBe(400);
    }
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'does not pollute prototypes through a member named %s',
    async (member) => {
      for (const value of ['{"email":"x@example.com","password":"y"}', '{"polluted":true}', '1', 'null']) {
        const response = await send(name, json, `{"${member}":${value},"other":"value"}`);
        expect(response.status, response.text).toBeLessThan(500);
        const { polluted } = {} as { polluted?: unknown };
        expect(polluted).toBeUndefined();
        expect(typeof {}.toString).toBe('function');
      }
    },
  );

  const form = operation.requestBody!.content[FORM];
  it(form ? 'rejects a form without the required fields' : 'rejects a form', async () => {
    await expectRejection(name, { 'content-type': FORM }, '__proto__=x&x=%00&%ff=%fe', form ? 400 : 415);
    await expectRejection(name, { 'content-type': `${FORM}; charset=utf-7` }, 'password=+AAA-', form ? 400 : 415);
  });
});

describe.each(all)('$name', ({ name }) => {
  it('handles oversized and malformed headers', async () => {
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
      const response = await sendRequest(server, ...targetOf(name), headers);
      expect(response.status, response.text).toBeLessThan(500);
    }
  });
});

describe.each(all.filter(({ name }) => name.includes('{')))('$name', ({ name }) => {
  it.each(['%00', '%', '%ff', '..%2f..', '__proto__', 'x'.repeat(3000), '%F0%9F%98%80', "'%20OR%201=1"])(
    'rejects the malformed path parameter %s',
    async (parameter) => {
      const [method, path] = targetOf(name, parameter);
      const response = await sendRequest(server, method, path, bearer);
      expect([400, 401, 403, 404]).toContain(response.status);
      expect(response.json).toMatchObject({ error: expect.any(String), request_id: expect.any(String) });
    },
  );
});

it('finds endpoints and string fields in the OpenAPI document', () => {
  expect(withBody.length).toBeGreaterThan(4);
  expect(withBody.flatMap(({ operation }) => stringFieldsOf(fieldsOf(operation))).length).toBeGreaterThan(15);
});

const json = { 'content-type': JSON_TYPE };
let bearer: { authorization: string };
let before: object;

beforeAll(async () => {
  // An administrator, so that a missing permission does not hide how the body is handled.
  const account = { email: 'admin@example.com', name: 'Ada Okafor', password: PASSWORD };
  const { email } = await server.core.accounts.create(account, systemMeta, { role: 'admin' });
  bearer = (await logInWithCookies(server, email)).bearer;
  before = await storedState();
});
afterAll(async () => {
  expect(await storedState()).toEqual(before);
  expect(server.lines.filter((line) => JSON.parse(line).level === 'error')).toEqual([]);
  await server.close();
});

async function storedState() {
  const { account, session, refreshToken, organization, grant, client } = server.base.db;
  const { updatedAt: _updatedAt, ...own } = await account.findFirstOrThrow({ orderBy: { createdAt: 'asc' } });
  return {
    own,
    counts: await Promise.all(
      [account, session, refreshToken, organization, grant, client].map((model) => (model as typeof account).count()),
    ),
  };
}

function send(name: string, headers: Record<string, string>, body?: string | Buffer): Promise<TestResponse> {
  return sendRequest(server, ...targetOf(name), { ...(requiresSession(name) && bearer), ...headers }, body);
}

async function expectRejection(name: string, headers: Record<string, string>, body: string | Buffer, status: number) {
  const response = await send(name, headers, body);
  expect([response.status, response.json.error], response.text).toEqual([
    status,
    { 400: 'invalid_request', 413: 'payload_too_large', 415: 'unsupported_media_type' }[status],
  ]);
  expect(Object.keys(response.json)).toEqual(expect.arrayContaining(['error', 'error_description', 'request_id']));
  expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
  return response as TestResponse & { json: { fields?: object } };
}

const requiresSession = (name: string) =>
  operations.get(name)!.security.every((scheme) => Object.keys(scheme).length > 0);

function targetOf(name: string, parameter = 'x'): [method: string, path: string] {
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

/** The members of an operation's body. */
function fieldsOf({ requestBody }: Operation): Record<string, Field> {
  const { schema } = requestBody!.content[JSON_TYPE] as { schema: Field };
  const { components } = document as OpenApi;
  const named = schema.$ref ? (components.schemas[schema.$ref.split('/').at(-1)!] as Field) : schema;
  const { properties = {}, required = [] } = named;
  // An optional member can also be null.
  const orNull = (name: string, field: Field) =>
    required.includes(name) ? field : { anyOf: [field, { type: 'null' }] };
  return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, orNull(name, field)]));
}

const typesOf = ({ type, anyOf }: Field): string[] => [type ?? [], (anyOf ?? []).flatMap(typesOf)].flat();

const stringFieldsOf = (fields: Record<string, Field>) =>
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

/** One JSON value of each type that the field does not accept. */
function wrongTypes(field: Field): string[] {
  const right = new Set(typesOf(field));
  if (right.has('integer')) right.add('number');
  return Object.keys(VALUES)
    .filter((type) => !right.has(type) || type === 'object' || type === 'array')
    .map((type) => VALUES[type]!);
}
