// Every list of the JSON API and of the tools API is returned in pages (RFC 8288).
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Account } from '../../../src/core/accounts/accounts.js';
import { addMember, createAccount } from '../../support/accounts.js';
import { onboard } from '../../support/agents.js';
import { logIn } from '../../support/api.js';
import { addCapTable, requestApproval } from '../../support/approval-requests.js';
import { type JsonRequest, sendJson } from '../../support/request.js';
import { createResource } from '../../support/resources.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

/** A list that does not depend on the caller. */
const PUBLIC = '/api/v1/capabilities';
const ROWS = 5;
/** Almost as long as the identifier of an API can be. */
const LONG_PATH = `/${'x'.repeat(2000)}`;

interface Operation {
  parameters?: { name: string }[];
  responses: Record<string, { content?: { 'application/json'?: { schema: { type?: string } } } }>;
}

describe.each(stores)('the lists on $name', (store) => {
  let server: TestServer;
  let owner: Account;
  let organizationId: string;
  let session: string;
  let paths: string[];
  let rows: Record<string, unknown[]>;
  /** Advances only with every second row, so that rows have the same time. */
  let time = Date.now();

  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(time) }, settings: { RATE_LIMIT_AGENT: '0' } });
    await createRows();
    const { json } = await sendJson(server, 'GET', '/api/openapi.json');
    const all = Object.entries(json.paths as Record<string, { get?: Operation }>);
    const isList = ({ responses }: Operation) => responses[200]?.content?.['application/json']?.schema.type === 'array';
    const lists = all.filter(([, { get }]) => get && isList(get));
    for (const [path, { get }] of lists) {
      const names = get!.parameters?.map(({ name }) => name);
      expect(names, path).toEqual(expect.arrayContaining(['limit', 'cursor']));
    }
    paths = lists.map(([path]) => path.replace('{id}', organizationId));
    rows = Object.fromEntries(await Promise.all(paths.map(async (path) => [path, (await read(path)).items])));
  });
  afterAll(() => server.close());

  async function createRows() {
    const { core } = server;
    owner = await createAccount(server, { role: 'admin', verified: true });
    organizationId = (await core.organizations.listFor(owner.id))[0]!.id;
    session = (await logIn(server, owner.email)).access_token;
    await addCapTable(server);
    for (let i = 0; i < ROWS; i += 1) {
      time += i % 2;
      await logIn(server, owner.email);
      const other = await createAccount(server);
      await addMember(server, organizationId, other.id, 'viewer');
      await core.organizations.create(owner.id, `Organization ${i}`, systemMeta);
      await core.projects.create({ accountId: owner.id }, organizationId, `Project ${i}`, systemMeta);
      await core.apiKeys.create(
        { account: owner },
        { name: `Key ${i}`, format: 'sk_live', lifeSeconds: null },
        systemMeta,
      );
      await core.identities.linkByAdmin(owner, { issuer: 'https://issuer.example', subject: `user-${i}` });
      await createResource(server, `https://api-${i}.example${LONG_PATH}`, {});
      await core.tools.create({ slug: `tool-${i}`, name: `Tool ${i}` }, owner.id, systemMeta);
      const permission = { accountId: other.id, slug: `tool-${i}`, level: 'read' } as const;
      await core.permissions.grant(permission, owner.id, systemMeta);
      const invitation = { email: `invited-${i}@example.com`, role: 'viewer' } as const;
      await core.invitations.create({ account: owner }, organizationId, invitation, systemMeta);
      const agent = await onboard(server, { agent_id: `agent-${i}`, capabilities: ['write:equity'] }, session);
      expect((await requestApproval(server, agent, owner.email)).status).toBe(200);
    }
  }

  const get = (target: string, more: JsonRequest = {}) => sendJson(server, 'GET', target, { token: session, ...more });

  async function read(target: string) {
    const { status, headers, text } = await get(target);
    expect(status, `${target}: ${text}`).toBe(200);
    return { items: JSON.parse(text) as Record<string, unknown>[], next: nextOf(headers.link) };
  }

  /** Returns the target of a link with the relation `next`. */
  function nextOf(link: string | undefined): string | undefined {
    if (link === undefined) return undefined;
    const [, target] = /^<([^>]+)>; rel="next"$/.exec(link) ?? [];
    expect(target, link).toBeDefined();
    return target;
  }

  it('have rows to test with', () => {
    expect(paths.length).toBeGreaterThan(12);
    for (const path of paths) expect(rows[path]!.length, path).toBeGreaterThanOrEqual(ROWS);
  });

  it.each([1, 2, 4])('are complete in pages of %i, in the same order', async (limit) => {
    for (const path of paths) {
      const found: unknown[] = [];
      for (let target: string | undefined = `${path}?limit=${limit}`; target; ) {
        const page: Awaited<ReturnType<typeof read>> = await read(target);
        expect(page.items.length, target).toBeLessThanOrEqual(limit);
        if (page.next) expect(page.items.length, target).toBe(limit);
        found.push(...page.items);
        target = page.next;
      }
      expect(found, path).toEqual(rows[path]);
    }
  });

  it('have no link after the last item', async () => {
    for (const path of paths) {
      const { items, next } = await read(`${path}?limit=${rows[path]!.length}`);
      expect([items.length, next], path).toEqual([rows[path]!.length, undefined]);
    }
  });

  it('keep the other parameters in the link', async () => {
    const { next } = await read(`/api/v1/agents?organization_id=${organizationId}&limit=2`);
    expect(new URLSearchParams(next!.split('?')[1]).get('organization_id')).toBe(organizationId);
    expect((await read(next!)).items).toEqual(rows['/api/v1/agents']!.slice(2, 4));
  });

  it.each(['0', '-1', '201', '1.5', '1e2', '0x10', '%205', 'x', '', '5&limit=6'])(
    'reject the limit %j',
    async (limit) => {
      for (const path of paths) {
        const { status, json } = await get(`${path}?limit=${limit}`);
        expect([status, json.error, Object.keys(json.fields ?? {})], path).toEqual([400, 'invalid_request', ['limit']]);
      }
    },
  );

  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  /** Returns the values in the cursor of the second page. */
  async function secondCursor(path: string): Promise<unknown[]> {
    const { next } = await read(`${path}?limit=1`);
    const cursor = new URLSearchParams(next!.split('?')[1]).get('cursor')!;
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  }

  it.each(
    Object.entries<(valid: unknown[]) => string>({
      'that is empty': () => '',
      'that is no base64url': () => '***',
      'that is no JSON': () => Buffer.from('{').toString('base64url'),
      'that is no array': ([list, key]) => encode({ list, key }),
      'of another list': ([, ...position]) => encode(['other', ...position]),
      'with a number as key': ([list, , ...time]) => encode([list, 1, ...time]),
      'with a NUL': ([list, , ...time]) => encode([list, 'a\0b', ...time]),
      'with a time that is no number': ([list, key]) => encode([list, key, '1']),
      'with a time that cannot be stored': ([list, key]) => encode([list, key, 1e18]),
      'with too many values': ([list, key]) => encode([list, key, 1, 1]),
      'that is too long': () => 'x'.repeat(4097),
    }),
  )('reject a cursor %s', async (_, forge) => {
    for (const path of paths) {
      const cursor = forge(await secondCursor(path));
      const { status, json } = await get(`${path}?cursor=${encodeURIComponent(cursor)}`);
      expect([status, json.error, Object.keys(json.fields ?? {})], path).toEqual([400, 'invalid_request', ['cursor']]);
    }
  });

  it('have cursors of their own', async () => {
    const names = await Promise.all(paths.map(async (path) => (await secondCursor(path))[0]));
    // Both list API keys.
    const other = paths.indexOf('/api/keys');
    expect(names[other]).toBe(names[paths.indexOf('/api/v1/api-keys')]);
    expect(new Set(names).size).toBe(names.length - 1);
  });

  it('continue after a row that was deleted in the meantime, and show no row twice', async () => {
    const create = (name: string) =>
      server.core.projects.create({ accountId: owner.id }, organizationId, name, systemMeta);
    const { items, next } = await read('/api/v1/projects?limit=3');
    time += 1;
    await server.core.projects.remove({ accountId: owner.id }, String(items[2]!.id), systemMeta);
    const created = await create('Created later');
    const rest = await read(next!);
    const shown = [...items, ...rest.items].map(({ name }) => name);
    expect(shown).toEqual([...rows['/api/v1/projects']!, created].map((row) => (row as { name: string }).name));
  });

  it('show only rows of the caller, also with a cursor of another account', async () => {
    const { email } = await createAccount(server);
    const { access_token: token } = await logIn(server, email);
    const own = paths.filter(
      (path) => path.startsWith('/api/v1/') && path !== PUBLIC && !path.includes(organizationId),
    );
    for (const path of own) {
      const { next } = await read(`${path}?limit=1`);
      const response = await get(next!, { token });
      const found = response.status === 200 ? (JSON.parse(response.text) as Record<string, unknown>[]) : [];
      for (const row of found) expect(rows[path], path).not.toContainEqual(row);
    }
  });
});
