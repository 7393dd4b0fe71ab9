// The OpenAPI document: valid, whole, and a constant for everybody. Whether it is true is tried in
// flows/api-document.test.ts.
import { Validator } from '@seriousme/openapi-schema-validator';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../../src/base/version.js';
import { type ApiContract, readContract } from '../../support/api-contract.js';
import { startServer, type TestServer } from '../../support/server.js';

const LISTED = 'https://app.example';

describe('the OpenAPI document', () => {
  let server: TestServer;
  let contract: ApiContract;
  beforeAll(async () => {
    server = await startServer({ settings: { BRAND_NAME: 'Acme ID', CORS_ALLOWED_ORIGINS: LISTED } });
    contract = await readContract(server.origin);
  });
  afterAll(() => server.close());

  const get = (headers: Record<string, string> = {}) => fetch(`${server.origin}/api/openapi.json`, { headers });

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone({ ...contract.document }))).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    await expect(validator.validate({ ...contract.document, paths: 'none' })).resolves.toMatchObject({ valid: false });
  });

  it('names this release, this server and its brand', () => {
    const { info, servers } = contract.document;
    expect(info).toMatchObject({ title: 'Acme ID API', version: VERSION });
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
    expect(servers).toEqual([{ url: server.issuer }]);
  });

  it('holds every route of the JSON API', () => {
    const isOurs = (path: string) => /^\/api\//.test(path) && !/^\/api\/(v1\/oauth\/|openapi\.json$)/.test(path);
    const routes = server.app.routes
      .filter(({ path }) => isOurs(String(path)))
      .flatMap(({ methods, path }) =>
        methods
          .filter((method) => method !== 'HEAD')
          .map((method) => `${method} ${String(path).replace(/:(\w+)/g, '{$1}')}`),
      );
    expect([...contract.operations.keys()].sort()).toEqual(routes.sort());
    expect(routes.length).toBeGreaterThan(8);
  });

  it('names each operation once, files it, and says what it is for', () => {
    const operations = [...contract.operations.values()];
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^(get|post|put|patch|delete)([A-Z][a-zA-Z0-9]+)+$/);
    for (const { tags, summary } of operations) {
      expect(tags).toHaveLength(1);
      expect(tags).not.toContain('Other'); // a new kind of endpoint wants a line among the tags of openapi.ts
      expect(summary.length).toBeGreaterThan(5);
    }
    const used = new Set(operations.flatMap(({ tags }) => tags));
    expect(new Set(contract.document.tags.map(({ name }) => name))).toEqual(used);
  });

  it('shares the schemas that clients know by name', () => {
    expect(Object.keys(contract.document.components.schemas)).toEqual(
      expect.arrayContaining(['User', 'TokenAnswer', 'Error', 'Me', 'Profile']),
    );
    expect(JSON.stringify(contract.document)).not.toContain('$defs');
    for (const [, $ref] of JSON.stringify(contract.document).matchAll(/"\$ref":"#\/components\/(\w+\/[\w-]+)"/g)) {
      const [kind = '', name = ''] = $ref!.split('/');
      expect((contract.document.components as Record<string, object>)[kind]).toHaveProperty(name);
    }
  });

  it('says how to come in: by token, or by cookie and, for a change, its CSRF token', () => {
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

  it('may be kept and is not sent again to who has it', async () => {
    const http = request(server.origin); // fetch would ask for a fresh one
    const { headers } = await http.get('/api/openapi.json').expect(200);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['cache-control']).toBe('public, max-age=300');
    const again = await http.get('/api/openapi.json').set('If-None-Match', headers.etag!).expect(304);
    expect(again.text).toBe('');
    expect(again.headers.etag).toBe(headers.etag);
    await http.head('/api/openapi.json').expect(200);
  });

  it('is read from any origin, without a credential; a listed origin is answered as everywhere', async () => {
    const foreign = await get({ origin: 'https://editor.example' });
    expect(foreign.headers.get('access-control-allow-origin')).toBe('*');
    expect(foreign.headers.get('access-control-allow-credentials')).toBeNull();
    const listed = await get({ origin: LISTED });
    expect(listed.headers.get('access-control-allow-origin')).toBe(LISTED);
  });

  it('tells of no sandbox that is not there', () => {
    expect(JSON.stringify(contract.document)).not.toMatch(/sandbox|test-auth/i);
  });
});
