// The account pages show long lists in parts, with plain links.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Browser } from '../../support/browser.js';
import { startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const server = await startServer({ settings: { MAX_API_KEYS: '1000', MAX_UNVERIFIED: '1000' } });
afterAll(() => server.close());

/** After the account was created. */
const started = addSeconds(new Date(), 60);
/** More than two parts of 50. */
const ROWS = 101;
const numbers = Array.from({ length: ROWS }, (_, number) => number);
const nameOf = (number: number) => `row-${String(number).padStart(3, '0')}`;
/** Half of the rows share their time with another row. */
const timeOf = (number: number) => addSeconds(started, Math.floor(number / 2));

describe('the account pages', () => {
  let user: Awaited<ReturnType<typeof signedInBrowser>>;
  let organizationId: string;

  beforeAll(async () => {
    user = await signedInBrowser(server);
    const { db } = server.base;
    const accountId = user.id;
    organizationId = await server.core.organizations.personalOrganizationId(accountId);
    await db.agent.createMany({ data: numbers.map(toAgent) });
    await db.apiKey.createMany({
      data: numbers.map((number) => ({
        ...{ id: `key_${nameOf(number)}`, accountId, organizationId, name: nameOf(number), createdAt: timeOf(number) },
        ...{ format: 'sk_live_', prefix: `sk_live_${number}`, hash: '', role: 'viewer', scopes: [] },
      })),
    });
    await db.session.createMany({
      data: numbers.map((number) => ({
        ...{ accountId, channel: 'browser', amr: ['pwd'], address: nameOf(number), userAgent: 'curl' },
        ...{ authTime: timeOf(number), lastSeenAt: timeOf(number), expiresAt: addSeconds(new Date(), 3600) },
      })),
    });
    const scopes = { scopes: ['openid'], claims: [], resources: {} };
    await db.consent.createMany({
      data: numbers.map((number) => ({ accountId, clientId: nameOf(number), scopes, createdAt: timeOf(number) })),
    });
    await db.approval.createMany({
      data: numbers.map((number) => ({
        ...{ id: nameOf(number), requestId: nameOf(number), agentId: toAgent(number).id, accountId },
        ...{
          bindingMessage: '',
          request: { resource: 'https://api.example', scopes: [], actions: [] },
          grantId: nameOf(number),
          grantPayload: {},
          createdAt: timeOf(number),
        },
        ...{ expiresAt: addSeconds(new Date(), 3600) },
      })),
    });
  });

  function toAgent(number: number) {
    return {
      ...{ id: `agt_${nameOf(number)}`, agentId: nameOf(number), name: 'Agent', organizationId, ownerId: user.id },
      ...{ capabilities: [], keyId: '', keyPrefix: '', keyHash: '', createdAt: timeOf(number) },
    };
  }

  /** Returns the rows of each part, and follows the links whose target has this parameter. */
  async function readParts(browser: Browser, path: string, parameter: string, pattern: RegExp): Promise<string[][]> {
    const parts: string[][] = [];
    for (let target: string | undefined = path; target; ) {
      const { status, html } = await browser.open(target);
      expect(status, target).toBe(200);
      parts.push([...html.matchAll(pattern)].map(([, name]) => name!));
      const links = [...html.matchAll(/<p class="more"><a href="([^"]+)"/g)].map(([, href]) =>
        href!.replaceAll('&amp;', '&'),
      );
      target = links.find((link) => new URL(link, browser.origin).searchParams.has(parameter));
    }
    return parts;
  }

  it.each([
    ['agents', '/account/agents', 'cursor', /<code>(row-\d+)<\/code>/g],
    ['API keys', '/account/keys', 'cursor', /<strong>(row-\d+)<\/strong>/g],
    ['approval requests', '/account/approvals', 'cursor', /<strong id="request-(row-\d+)">/g],
    ['sessions', '/account', 'sessions', /<span>(row-\d+)<\/span>/g],
    ['apps with access', '/account', 'apps', /name="client_id" value="(row-\d+)"/g],
  ])('show all %s in parts', async (_, path, parameter, pattern) => {
    const parts = await readParts(user.browser, path, parameter, pattern);
    const shown = parts.flat();
    expect(Math.max(...parts.map((part) => part.length))).toBe(50);
    expect(parts.length).toBe(3);
    expect(shown.toSorted()).toEqual(numbers.map(nameOf));
  });

  it.each(['/account?sessions=x', '/account?apps=x', '/account/agents?cursor=x', '/account/keys?cursor=x'])(
    'reject the cursor of %s',
    async (path) => {
      expect((await user.browser.open(path)).status).toBe(400);
    },
  );

  it('name the project of a key, and say that a form lists only some projects', async () => {
    const { db } = server.base;
    const projects = Array.from({ length: 201 }, (_, number) => ({
      ...{ id: `prj_${nameOf(number)}`, organizationId, name: nameOf(number), createdAt: timeOf(number) },
    }));
    const note = 'Not all projects are listed.';
    await db.project.createMany({ data: projects.slice(0, 200) });
    expect((await user.browser.open('/account/keys/new')).html).not.toContain(note);
    await db.project.createMany({ data: projects.slice(200) });
    expect((await user.browser.open('/account/keys/new')).html).toContain(note);
    const account = (await server.core.accounts.find(user.id))!;
    const limited = { name: 'Limited', format: 'sk_live', projectId: projects[200]!.id, lifeSeconds: null } as const;
    const { record } = await server.core.apiKeys.create({ account }, limited, systemMeta);
    const named = await readParts(user.browser, '/account/keys', 'cursor', /\/ (row-200)/g);
    expect(named.flat()).toEqual([nameOf(200)]);
    for (const path of [`/${record.id}/revoke`, `/${record.id}/replace`]) {
      expect((await user.browser.open(`/account/keys${path}`)).html, path).toContain(`/ ${nameOf(200)}`);
    }
  });
});
