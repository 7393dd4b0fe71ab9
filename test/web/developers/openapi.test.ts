// The form of the OpenAPI document. flows/api-document.test.ts checks responses against it.
import { Validator } from '@seriousme/openapi-schema-validator';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { VERSION } from '../../../src/base/version.js';
import { describeApi } from '../../../src/web/developers/openapi.js';
import { type ApiContract, readContract } from '../../support/api-contract.js';
import { sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const COOKIE_NAMES = { access: 'a', refresh: 'r', csrf: 'c', tools: 't' };
const LISTED = 'https://app.example';

describe('the OpenAPI document', () => {
  let server: TestServer;
  let contract: ApiContract;
  beforeAll(async () => {
    server = await startServer({ settings: { BRAND_NAME: 'Acme ID', CORS_ALLOWED_ORIGINS: LISTED } });
    contract = await readContract(server.origin);
  });
  afterAll(() => server.close());

  const get = (headers: Record<string, string>) => sendRequest(server, 'GET', '/api/openapi.json', headers);

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone({ ...contract.document }))).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    await expect(validator.validate({ ...contract.document, paths: 'none' })).resolves.toMatchObject({ valid: false });
  });

  it('contains the release, the issuer and the brand', () => {
    const { info, servers } = contract.document;
    expect(info).toMatchObject({ title: 'Acme ID API', version: VERSION });
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
    expect(servers).toEqual([{ url: server.issuer }]);
  });

  it('describes exactly the routes of the JSON API', () => {
    const isApi = (path: string) => /^\/api\//.test(path) && !/^\/api\/(v1\/oauth\/|openapi\.json$)/.test(path);
    const routes = server.app.routes
      .filter(({ path }) => isApi(String(path)))
      .flatMap(({ methods, path }) =>
        methods
          .filter((method) => method !== 'HEAD')
          .map((method) => `${method} ${String(path).replace(/:(\w+)/g, '{$1}')}`),
      );
    expect([...contract.operations.keys()].sort()).toEqual(routes.sort());
    expect(routes.length).toBeGreaterThan(8);
  });

  it('gives each operation a unique id, one tag and a summary', () => {
    const operations = [...contract.operations.values()];
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^(get|post|put|patch|delete)([A-Z][a-zA-Z0-9]+)+$/);
    for (const { tags, summary } of operations) {
      expect(tags).toHaveLength(1);
      expect(summary.length).toBeGreaterThan(5);
    }
    const used = new Set(operations.flatMap(({ tags }) => tags));
    expect(new Set(contract.document.tags.map(({ name }) => name))).toEqual(used);
  });

  it('cannot be generated with a path that has no tag', () => {
    const endpoint = { method: 'get', path: '/api/v1/auth/unknown', accepts: [], response: [200, z.object({})] };
    const description = { issuer: server.issuer, brandName: 'Acme', version: VERSION, cookieNames: COOKIE_NAMES };
    expect(() => describeApi({ ...description, endpoints: [endpoint as never] })).toThrow(
      '/api/v1/auth/unknown has no tag',
    );
  });

  it('defines the shared schemas once and refers to them by name', () => {
    expect(Object.keys(contract.document.components.schemas)).toEqual(
      expect.arrayContaining(['User', 'TokenAnswer', 'Error', 'Me', 'Profile']),
    );
    expect(JSON.stringify(contract.document)).not.toContain('$defs');
    for (const [, $ref] of JSON.stringify(contract.document).matchAll(/"\$ref":"#\/components\/(\w+\/[\w-]+)"/g)) {
      const [kind = '', name = ''] = $ref!.split('/');
      expect((contract.document.components as Record<string, object>)[kind]).toHaveProperty(name);
    }
  });

  it('describes authentication by bearer token, or by cookie and a CSRF token for changes', () => {
    const security = (name: string) => contract.operations.get(name)!.security;
    expect(security('GET /api/v1/auth/me')).toEqual([{ bearer: [] }, { cookie: [] }]);
    expect(security('POST /api/v1/auth/logout')).toEqual([{ bearer: [] }, { cookie: [], csrf: [] }]);
    expect(security('POST /api/v1/auth/login')).toEqual([{}]);
    expect(security('POST /api/v1/auth/refresh')).toEqual([{}, { bearer: [] }, { refreshCookie: [] }]);
    expect(contract.document.components.securitySchemes).toMatchObject({
      cookie: { in: 'cookie', name: 'cap_access' },
      csrf: { in: 'header', name: 'X-CSRF-Token' },
    });
  });

  it('is cacheable and supports conditional requests', async () => {
    const { status, headers } = await get({});
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['cache-control']).toBe('public, max-age=300');
    const notModified = await get({ 'if-none-match': headers.etag! });
    expect([notModified.status, notModified.text, notModified.headers.etag]).toEqual([304, '', headers.etag]);
    expect((await sendRequest(server, 'HEAD', '/api/openapi.json')).status).toBe(200);
  });

  it('is readable from any origin, and with credentials from a listed one', async () => {
    const unlisted = await get({ origin: 'https://editor.example' });
    expect(unlisted.headers['access-control-allow-origin']).toBe('*');
    expect(unlisted.headers['access-control-allow-credentials']).toBeUndefined();
    const listed = await get({ origin: LISTED });
    expect(listed.headers['access-control-allow-origin']).toBe(LISTED);
  });

  it('omits the test users if they are disabled', () => {
    expect(JSON.stringify(contract.document)).not.toMatch(/sandbox|test-auth/i);
  });
});
