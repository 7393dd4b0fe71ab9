// The pages on which a person sees, makes, replaces and ends their API keys.

import { afterAll, describe, expect, it } from 'vitest';
import type { ApiKey } from '../../../src/core/api-keys/api-keys.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const KEYS = '/account/keys';
const { clock, later } = movableClock();
const server = await startServer({ clock });
afterAll(() => server.close());

const person = (name?: string) => signedInBrowser(server, name);

const post = (browser: Browser, path: string, values: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.open(path, { method: 'POST', body: new URLSearchParams(values), headers });

/** Without ticking what the page offers. */
async function make(browser: Browser, fields: Record<string, string>): Promise<Page> {
  const { html } = await browser.open(`${KEYS}/new`);
  const { csrf = '' } = formsOf(html).find(({ action }) => action === `${KEYS}/new`)?.fields ?? {};
  return post(browser, `${KEYS}/new`, { csrf, ...fields });
}

const shownIn = ({ html }: Page) => /<pre class="copy"><code>([^<]+)</.exec(html)?.[1] ?? '';
const statusOf = async (key: string) => (await callApi(server, 'GET', '/auth/me', { token: key })).status;
/** In seconds. */
const lifeOf = ({ createdAt, expiresAt }: ApiKey) => Math.round((expiresAt!.getTime() - createdAt.getTime()) / 1000);
const keysOf = (accountId: string) => server.core.apiKeys.list(accountId);
const alive = async (accountId: string) => (await keysOf(accountId)).filter(server.core.apiKeys.isActive);
const errorOf = ({ html }: Page) => /class="field-error" id="(\w+)-error"/.exec(html)?.[1];

async function giveKey(accountId: string, name = 'Laptop', lifeSeconds: number | null = null) {
  const owner = (await server.core.accounts.find(accountId))!;
  return server.core.apiKeys.create(owner, { name, format: 'sk_live', lifeSeconds }, systemMeta);
}

describe('the pages of API keys', () => {
  it('are linked from the account, and lead back through the sign-in', async () => {
    const { email, browser } = await person();
    expect((await browser.open('/account')).html).toContain(`href="${KEYS}"`);
    const stranger = new Browser(server.origin);
    const login = await stranger.open(KEYS);
    expect(login.url.pathname).toBe('/login');
    const back = await stranger.signIn(email, PASSWORD, login);
    expect([back.url.pathname, back.html]).toEqual([KEYS, expect.stringContaining('You have no API keys')]);
  });

  it('make a key that is what was chosen, and show it once, on the answer to the form', async () => {
    const { id, browser } = await person();
    const project = await server.core.projects.create(
      { accountId: id },
      await server.core.organizations.personalOrganizationId(id),
      'Reports',
      systemMeta,
    );
    const visited: URL[] = [];
    browser.onResponse = (_method, url) => visited.push(url);
    const page = await make(browser, {
      name: 'Nightly build',
      place: project.id,
      role: 'operator',
      life: String(7 * 86_400),
      'scope.memory:read': 'on',
    });
    const key = shownIn(page);
    expect([page.status, page.headers.get('cache-control'), key]).toEqual([
      201,
      'no-store',
      expect.stringMatching(/^sk_live_\w{38}$/),
    ]);
    expect(await statusOf(key)).toBe(200);
    const [made] = await keysOf(id);
    expect(made).toMatchObject({ name: 'Nightly build', role: 'operator', scopes: ['memory:read'] });
    expect(made).toMatchObject({ projectId: project.id, organizationId: project.organizationId });
    expect(lifeOf(made!)).toBe(7 * 86_400);
    const list = await browser.open(KEYS);
    for (const text of [
      'Nightly build',
      key.slice(0, 16),
      'Jane Developer, project Reports',
      'operator',
      'memory:read',
    ])
      expect(list.html).toContain(text);
    for (const { html } of [list, await browser.open('/account'), await browser.open(`${KEYS}/${made!.id}/revoke`)])
      expect(html).not.toContain(key.slice(16));
    expect(visited.map(String).join('\n')).not.toContain(key.slice(16));
    const [event] = await server.core.audit.list({ accountId: id, action: 'api_key.created' });
    expect(event).toMatchObject({ actorId: id, detail: { key: made!.id } });
    expect(server.lines.join('')).not.toContain(key.slice(16));
  });

  it('make one as the API does of what is left out, and one without an end for whoever wants that', async () => {
    const { id, browser } = await person();
    expect((await make(browser, { name: 'Usual' })).status).toBe(201);
    expect((await make(browser, { name: 'Endless', life: 'never' })).status).toBe(201);
    const [endless, usual] = (await keysOf(id)).sort((a, b) => a.name.localeCompare(b.name));
    expect([endless!.expiresAt, endless!.role, endless!.scopes]).toEqual([null, 'admin', []]);
    expect(lifeOf(usual!)).toBe(server.config.apiKeySeconds);
    expect((await browser.open(KEYS)).html).toMatch(/never used<\/span><span>never expires/);
  });

  it('tell beside the field what cannot be, and keep what was written', async () => {
    const { id, browser } = await person();
    const unreadable = await make(browser, { name: '\u202e', role: 'viewer', 'scope.vector:search': 'on' });
    expect([unreadable.status, errorOf(unreadable)]).toEqual([400, 'name']);
    expect(unreadable.html).toMatch(/value="viewer" selected/);
    expect(unreadable.html).toMatch(/name="scope\.vector:search"[^>]* checked/);
    const unknown = await make(browser, { name: 'CI', 'scope.<b>': 'on' });
    expect([unknown.status, errorOf(unknown), unknown.html.includes('<b>')]).toEqual([400, 'scopes', false]);
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`scope.s${n}`, 'on']));
    expect((await make(browser, { name: 'CI', ...many })).html).toContain('Use at most 50.');
    for (const [name, value] of [
      ['role', 'owner'],
      ['life', '1'],
    ])
      expect((await make(browser, { name: 'CI', [name!]: value! })).status, name).toBe(400);
    expect(await keysOf(id)).toEqual([]);
  });

  it('ask before they revoke, and from then on the key is refused', async () => {
    const { id, browser } = await person();
    const { key, record } = await giveKey(id, '<i>Lost</i> laptop');
    const asked = await browser.open(`${KEYS}/${record.id}/revoke`);
    expect(asked.html).toContain('Revoke &lt;i&gt;Lost&lt;/i&gt; laptop?');
    expect(await statusOf(key)).toBe(200); // asking ends nothing
    const form = formsOf(asked.html).findIndex(({ action }) => action.endsWith('/revoke'));
    const done = await browser.submit(asked, {}, form);
    expect([done.url.pathname, done.html]).toEqual([KEYS, expect.stringContaining('The key was revoked')]);
    expect(await statusOf(key)).toBe(401);
    expect(done.html).toMatch(/Revoked and expired keys[\s\S]+laptop[\s\S]+Revoked just now/);
    expect(await server.core.audit.list({ accountId: id, action: 'api_key.revoked' })).toHaveLength(1);
    expect((await browser.submit(asked, {}, form)).status).toBe(404); // it is gone already
  });

  it('put a new key in the place of an old one, which works as long as was chosen', async () => {
    const { id, browser } = await person();
    const replace = async (keyId: string, grace: string) => {
      const page = await browser.open(`${KEYS}/${keyId}/replace`);
      return browser.submit(
        page,
        { grace },
        formsOf(page.html).findIndex(({ action }) => action.endsWith('/replace')),
      );
    };
    const first = await giveKey(id);
    const page = await replace(first.record.id, '3600');
    const second = shownIn(page);
    expect([page.status, page.headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(page.html).toContain('The old key expires in 1 hour');
    expect([await statusOf(first.key), await statusOf(second)]).toEqual([200, 200]);
    const replacing = (await alive(id)).find((made) => made.id !== first.record.id)!;
    const third = shownIn(await replace(replacing.id, '0'));
    expect([await statusOf(second), await statusOf(third)]).toEqual([401, 200]);
    expect((await replace(first.record.id, '31')).status).toBe(400); // none of those to choose from
    await later(3601 * 1000, async () => {
      expect(await statusOf(first.key)).toBe(401);
      expect((await browser.open(KEYS)).html).toMatch(/Revoked and expired keys[\s\S]+Expired/);
    });
  });

  it("know nothing of another person's keys", async () => {
    const { id: otherId } = await person();
    const { key, record } = await giveKey(otherId, 'Private');
    const { browser } = await person();
    expect((await browser.open(KEYS)).html).not.toContain('Private');
    const { csrf = '' } = formsOf((await browser.open(`${KEYS}/new`)).html).at(-1)!.fields;
    for (const verb of ['revoke', 'replace']) {
      const shown = await browser.open(`${KEYS}/${record.id}/${verb}`);
      const posted = await post(browser, `${KEYS}/${record.id}/${verb}`, { csrf });
      expect([shown.status, posted.status], verb).toEqual([404, 404]);
      expect(shown.html + posted.html).not.toContain('Private');
    }
    expect(await statusOf(key)).toBe(200);
    expect(await keysOf(otherId)).toHaveLength(1);
  });

  it('do nothing for a form that another site sends', async () => {
    const { id, browser } = await person();
    const { key, record } = await giveKey(id);
    const { csrf = '' } = formsOf((await browser.open(`${KEYS}/new`)).html).at(-1)!.fields;
    for (const path of [`${KEYS}/new`, `${KEYS}/${record.id}/replace`, `${KEYS}/${record.id}/revoke`]) {
      expect((await post(browser, path, { name: 'CI', csrf: 'x' })).status, path).toBe(403);
      const otherBrowser = await post(browser, path, { name: 'CI', csrf }, { origin: 'https://evil.example' });
      expect(otherBrowser.status, path).toBe(403);
    }
    expect([await statusOf(key), (await keysOf(id)).length]).toEqual([200, 1]);
  });

  it('want a recent proof of whoever makes a key, and none of whoever ends one', async () => {
    const { id, email, browser } = await person();
    const { key, record } = await giveKey(id);
    const form = await browser.open(`${KEYS}/new`);
    const { csrf = '' } = formsOf(form.html).at(-1)!.fields;
    const sent = [
      [`${KEYS}/new`, { csrf, name: 'Stolen' }],
      [`${KEYS}/${record.id}/replace`, { csrf, grace: '0' }],
    ] as const;
    await later(11 * 60 * 1000, async () => {
      for (const [path, fields] of sent) {
        for (const page of [await post(browser, path, fields), await browser.open(path)])
          expect([page.url.pathname, page.url.searchParams.get('return_to')]).toEqual(['/login', path]);
      }
      expect([(await keysOf(id)).length, await statusOf(key)]).toEqual([1, 200]);
      expect((await browser.open(KEYS)).html).toContain('Laptop'); // looking is for whoever is signed in
      expect((await post(browser, `${KEYS}/${record.id}/revoke`, { csrf })).url.pathname).toBe(KEYS);
      expect(await statusOf(key)).toBe(401);
      const back = await browser.signIn(email, PASSWORD, await browser.open(`${KEYS}/new`));
      expect([back.url.pathname, (await make(browser, { name: 'Mine' })).status]).toEqual([`${KEYS}/new`, 201]);
    });
  });

  it('give a key in an organization no more than its member has there, and in none where they are no member', async () => {
    const owner = await person('Ada Okafor');
    const { id: northwind } = await server.core.organizations.create(owner.id, 'Northwind', systemMeta);
    const member = await person();
    const data = { accountId: member.id, organizationId: northwind, role: 'viewer' };
    expect(errorOf(await make(member.browser, { name: 'CI', place: northwind }))).toBe('place');
    await server.base.db.membership.create({ data });
    await server.base.invalidationBus.publish('organizations', northwind);
    const tooMuch = await make(member.browser, { name: 'CI', place: northwind, role: 'operator' });
    expect([tooMuch.status, errorOf(tooMuch)]).toEqual([403, 'role']);
    expect(await keysOf(member.id)).toEqual([]);
    expect((await make(member.browser, { name: 'CI', place: northwind })).status).toBe(201);
    expect((await keysOf(member.id)).map(({ role }) => role)).toEqual(['viewer']);
    expect((await member.browser.open(KEYS)).html).toMatch(/Northwind[\s\S]+as viewer/);
    expect((await owner.browser.open(KEYS)).html).not.toContain('CI');
  });
});
