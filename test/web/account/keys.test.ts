import { afterAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { ApiKey } from '../../../src/core/api-keys/api-keys.js';
import { addMember } from '../../support/accounts.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const KEYS = '/account/keys';
const { clock, later } = movableClock();
const server = await startServer({ clock });
afterAll(() => server.close());

const signIn = (name?: string) => signedInBrowser(server, name);

const post = (browser: Browser, path: string, values: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.open(path, { method: 'POST', body: new URLSearchParams(values), headers });

/** Submits the form for a new key with these fields only, without its default selections. */
async function createKey(browser: Browser, fields: Record<string, string>): Promise<Page> {
  const { html } = await browser.open(`${KEYS}/new`);
  const { csrf = '' } = formsOf(html).find(({ action }) => action === `${KEYS}/new`)?.fields ?? {};
  return post(browser, `${KEYS}/new`, { csrf, ...fields });
}

const keyShownIn = ({ html }: Page) => /<pre class="copy"><code>([^<]+)</.exec(html)?.[1] ?? '';
const statusOf = async (key: string) => (await callApi(server, 'GET', '/auth/me', { token: key })).status;
/** The lifetime of a key in seconds. */
const lifetimeOf = ({ createdAt, expiresAt }: ApiKey) =>
  Math.round((expiresAt!.getTime() - createdAt.getTime()) / 1000);
const keysOf = async (accountId: string) => (await server.core.apiKeys.list(accountId, FIRST_PAGE)).items;
const activeKeysOf = async (accountId: string) => (await keysOf(accountId)).filter(server.core.apiKeys.isActive);
const errorOf = ({ html }: Page) => /class="field-error" id="(\w+)-error"/.exec(html)?.[1];

async function insertKey(accountId: string, name = 'Laptop', lifeSeconds: number | null = null) {
  const owner = (await server.core.accounts.find(accountId))!;
  return server.core.apiKeys.create({ account: owner }, { name, format: 'sk_live', lifeSeconds }, systemMeta);
}

describe('the API key pages', () => {
  it('redirect to the sign-in page and back, and are linked from the account page', async () => {
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    const login = await browser.open(KEYS);
    expect(login.url.pathname).toBe('/login');
    const list = await browser.signIn(email, PASSWORD, login);
    expect([list.url.pathname, list.html]).toEqual([KEYS, expect.stringContaining('You have no API keys')]);
    expect((await browser.open('/account')).html).toContain(`href="${KEYS}"`);
  });

  it('create a key with the chosen options and show it once', async () => {
    const { id, browser } = await signIn();
    const project = await server.core.projects.create(
      { accountId: id },
      await server.core.organizations.personalOrganizationId(id),
      'Reports',
      systemMeta,
    );
    const visited: URL[] = [];
    browser.onResponse = (_method, url) => visited.push(url);
    const page = await createKey(browser, {
      name: 'Nightly build',
      place: project.id,
      role: 'operator',
      life: String(7 * 86_400),
      'scope.memory:read': 'on',
    });
    const key = keyShownIn(page);
    expect([page.status, page.headers.get('cache-control'), key]).toEqual([
      201,
      'no-store',
      expect.stringMatching(/^sk_live_\w{38}$/),
    ]);
    expect(await statusOf(key)).toBe(200);
    const [created] = await keysOf(id);
    expect(created).toMatchObject({ name: 'Nightly build', role: 'operator', scopes: ['memory:read'] });
    expect(created).toMatchObject({ projectId: project.id, organizationId: project.organizationId });
    expect(lifetimeOf(created!)).toBe(7 * 86_400);
    const list = await browser.open(KEYS);
    for (const text of ['Nightly build', key.slice(0, 16), 'Jane Developer / Reports', 'operator', 'memory:read'])
      expect(list.html).toContain(text);
    for (const { html } of [list, await browser.open('/account'), await browser.open(`${KEYS}/${created!.id}/revoke`)])
      expect(html).not.toContain(key.slice(16));
    expect(visited.map(String).join('\n')).not.toContain(key.slice(16));
    const [event] = await server.core.audit.list({ accountId: id, action: 'api_key.created' });
    expect(event).toMatchObject({ actorId: id, detail: { key: created!.id } });
    expect(server.lines.join('')).not.toContain(key.slice(16));
  });

  it('use the defaults of the API for omitted fields, and can create a key that never expires', async () => {
    const { id, browser } = await signIn();
    expect((await createKey(browser, { name: 'Default' })).status).toBe(201);
    expect((await createKey(browser, { name: 'Permanent', life: 'never' })).status).toBe(201);
    const [byDefault, permanent] = (await keysOf(id)).sort((a, b) => a.name.localeCompare(b.name));
    expect([permanent!.expiresAt, permanent!.role, permanent!.scopes]).toEqual([null, 'admin', []]);
    expect(lifetimeOf(byDefault!)).toBe(server.config.apiKeySeconds);
    expect((await browser.open(KEYS)).html).toMatch(/never used<\/span><span>never expires/);
  });

  it('show an error at the invalid field and keep the other values', async () => {
    const { id, browser } = await signIn();
    const invisible = await createKey(browser, { name: '\u202e', role: 'viewer', 'scope.vector:search': 'on' });
    expect([invisible.status, errorOf(invisible)]).toEqual([400, 'name']);
    expect(invisible.html).toMatch(/value="viewer" selected/);
    expect(invisible.html).toMatch(/name="scope\.vector:search"[^>]* checked/);
    const unknown = await createKey(browser, { name: 'CI', 'scope.<b>': 'on' });
    expect([unknown.status, errorOf(unknown), unknown.html.includes('<b>')]).toEqual([400, 'scopes', false]);
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`scope.s${n}`, 'on']));
    expect((await createKey(browser, { name: 'CI', ...many })).html).toContain('Use at most 50.');
    for (const [name, value] of [
      ['role', 'owner'],
      ['life', '1'],
    ])
      expect((await createKey(browser, { name: 'CI', [name!]: value! })).status, name).toBe(400);
    expect(await keysOf(id)).toEqual([]);
  });

  it('revoke a key after a confirmation', async () => {
    const { id, browser } = await signIn();
    const { key, record } = await insertKey(id, '<i>Lost</i> laptop');
    const confirmation = await browser.open(`${KEYS}/${record.id}/revoke`);
    expect(confirmation.html).toContain('Revoke &lt;i&gt;Lost&lt;/i&gt; laptop?');
    expect(await statusOf(key)).toBe(200);
    const form = formsOf(confirmation.html).findIndex(({ action }) => action.endsWith('/revoke'));
    const list = await browser.submit(confirmation, {}, form);
    expect([list.url.pathname, list.html]).toEqual([KEYS, expect.stringContaining('The key was revoked')]);
    expect(await statusOf(key)).toBe(401);
    expect(list.html).toMatch(/Revoked and expired keys[\s\S]+laptop[\s\S]+Revoked just now/);
    expect(await server.core.audit.list({ accountId: id, action: 'api_key.revoked' })).toHaveLength(1);
    expect((await browser.submit(confirmation, {}, form)).status).toBe(404);
  });

  it('replace a key and keep the old one for the chosen grace period', async () => {
    const { id, browser } = await signIn();
    const replace = async (keyId: string, grace: string) => {
      const page = await browser.open(`${KEYS}/${keyId}/replace`);
      return browser.submit(
        page,
        { grace },
        formsOf(page.html).findIndex(({ action }) => action.endsWith('/replace')),
      );
    };
    const first = await insertKey(id);
    const page = await replace(first.record.id, '3600');
    const second = keyShownIn(page);
    expect([page.status, page.headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(page.html).toContain('The old key expires in 1 hour');
    expect([await statusOf(first.key), await statusOf(second)]).toEqual([200, 200]);
    const successor = (await activeKeysOf(id)).find((active) => active.id !== first.record.id)!;
    const third = keyShownIn(await replace(successor.id, '0'));
    expect([await statusOf(second), await statusOf(third)]).toEqual([401, 200]);
    expect((await replace(first.record.id, '31')).status).toBe(400); // the page does not offer 31 seconds
    await later(3601 * 1000, async () => {
      expect(await statusOf(first.key)).toBe(401);
      expect((await browser.open(KEYS)).html).toMatch(/Revoked and expired keys[\s\S]+Expired/);
    });
  });

  it('show on the form why a key cannot be replaced', async () => {
    const { id, browser } = await signIn();
    const { record } = await insertKey(id);
    await server.base.db.account.update({ where: { id }, data: { emailVerified: true } });
    const page = await browser.open(`${KEYS}/${record.id}/replace`);
    const form = formsOf(page.html).findIndex(({ action }) => action.endsWith('/replace'));
    await server.base.db.apiKey.createMany({
      data: Array.from({ length: 199 }, (_, n) => ({ ...record, scopes: [], id: `${record.id}-${n}`, hash: `${n}` })),
    });
    const rejected = await browser.submit(page, { grace: '3600' }, form);
    expect(rejected.status).toBe(409);
    expect(rejected.html).toMatch(/<h1>Replace Laptop\?[\s\S]+role="alert">[^<]*200[\s\S]+value="3600" selected/);
    expect(await activeKeysOf(id)).toHaveLength(200);
  });

  it('do not reveal the keys of another user', async () => {
    const { id: otherId } = await signIn();
    const { key, record } = await insertKey(otherId, 'Private');
    const { browser } = await signIn();
    expect((await browser.open(KEYS)).html).not.toContain('Private');
    const { csrf = '' } = formsOf((await browser.open(`${KEYS}/new`)).html).at(-1)!.fields;
    for (const verb of ['revoke', 'replace']) {
      const confirmation = await browser.open(`${KEYS}/${record.id}/${verb}`);
      const posted = await post(browser, `${KEYS}/${record.id}/${verb}`, { csrf });
      expect([confirmation.status, posted.status], verb).toEqual([404, 404]);
      expect(confirmation.html + posted.html).not.toContain('Private');
    }
    expect(await statusOf(key)).toBe(200);
    expect(await keysOf(otherId)).toHaveLength(1);
  });

  it('reject cross-site forms', async () => {
    const { id, browser } = await signIn();
    const { key, record } = await insertKey(id);
    const { csrf = '' } = formsOf((await browser.open(`${KEYS}/new`)).html).at(-1)!.fields;
    for (const path of [`${KEYS}/new`, `${KEYS}/${record.id}/replace`, `${KEYS}/${record.id}/revoke`]) {
      expect((await post(browser, path, { name: 'CI', csrf: 'x' })).status, path).toBe(403);
      const crossSite = await post(browser, path, { name: 'CI', csrf }, { origin: 'https://evil.example' });
      expect(crossSite.status, path).toBe(403);
    }
    expect([await statusOf(key), (await keysOf(id)).length]).toEqual([200, 1]);
  });

  it('require a recent authentication to create or replace a key, but not to revoke one', async () => {
    const { id, email, browser } = await signIn();
    const { key, record } = await insertKey(id);
    const form = await browser.open(`${KEYS}/new`);
    const { csrf = '' } = formsOf(form.html).at(-1)!.fields;
    const guardedForms = [
      [`${KEYS}/new`, { csrf, name: 'Stolen' }],
      [`${KEYS}/${record.id}/replace`, { csrf, grace: '0' }],
    ] as const;
    await later(11 * 60 * 1000, async () => {
      for (const [path, fields] of guardedForms) {
        for (const page of [await post(browser, path, fields), await browser.open(path)])
          expect([page.url.pathname, page.url.searchParams.get('return_to')]).toEqual(['/login', path]);
      }
      expect([(await keysOf(id)).length, await statusOf(key)]).toEqual([1, 200]);
      expect((await browser.open(KEYS)).html).toContain('Laptop');
      expect((await post(browser, `${KEYS}/${record.id}/revoke`, { csrf })).url.pathname).toBe(KEYS);
      expect(await statusOf(key)).toBe(401);
      const page = await browser.signIn(email, PASSWORD, await browser.open(`${KEYS}/new`));
      expect([page.url.pathname, (await createKey(browser, { name: 'Mine' })).status]).toEqual([`${KEYS}/new`, 201]);
    });
  });

  it('limit a key to organizations of the user and to the role of the user there', async () => {
    const owner = await signIn('Ada Okafor');
    const { id: northwind } = await server.core.organizations.create(owner.id, 'Northwind', systemMeta);
    const member = await signIn();
    expect(errorOf(await createKey(member.browser, { name: 'CI', place: northwind }))).toBe('place');
    await addMember(server, northwind, member.id, 'viewer');
    const tooHigh = await createKey(member.browser, { name: 'CI', place: northwind, role: 'operator' });
    expect([tooHigh.status, errorOf(tooHigh)]).toEqual([403, 'role']);
    expect(await keysOf(member.id)).toEqual([]);
    expect((await createKey(member.browser, { name: 'CI', place: northwind })).status).toBe(201);
    expect((await keysOf(member.id)).map(({ role }) => role)).toEqual(['viewer']);
    expect((await member.browser.open(KEYS)).html).toMatch(/Northwind[\s\S]+as viewer/);
    expect((await owner.browser.open(KEYS)).html).not.toContain('CI');
  });
});
