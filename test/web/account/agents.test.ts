// The pages on which a person sees the agents of their organizations, replaces their keys and ends
// them.
import { afterAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { getAgent, onboard } from '../../support/agents.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { PASSWORD, startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const AGENTS = '/account/agents';
const { clock, later } = movableClock();
const server = await startServer({ clock });
afterAll(() => server.close());

const person = (name?: string) => signedInBrowser(server, name);

/** Of an organization of this person: their own, if none is named. */
async function giveAgent(accountId: string, name = 'Bookkeeper', organizationId?: string) {
  const maker = (await server.core.accounts.find(accountId))!;
  const place = organizationId ?? (await server.core.organizations.personalOrganizationId(accountId));
  const wanted = { agentId: 'books', name, capabilities: ['read:cap-table'] };
  const { agent, key } = await server.core.agents.onboarding.onboardInto(place, maker, wanted, systemMeta);
  return { ...agent, key, agent_id: agent.agentId };
}

/** An organization of one person, with another in it. */
async function shared(role: 'viewer' | 'operator' | 'admin') {
  const owner = await person('Ada Okafor');
  const { id } = await server.core.organizations.create(owner.id, 'Northwind', systemMeta);
  const member = await person();
  await server.base.db.membership.create({ data: { accountId: member.id, organizationId: id, role } });
  await server.base.invalidationBus.publish('organizations', id);
  return { owner, member, agent: await giveAgent(owner.id, 'Shared', id) };
}

const post = (browser: Browser, path: string, values: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.open(path, { method: 'POST', body: new URLSearchParams(values), headers });
const press = (browser: Browser, page: Page, verb: 'end' | 'replace-key') =>
  browser.submit(
    page,
    {},
    formsOf(page.html).findIndex(({ action }) => action.endsWith(`/${verb}`)),
  );
const csrfOf = ({ html }: Page) => formsOf(html)[0]?.fields.csrf ?? '';
const shownIn = ({ html }: Page) => /<pre class="copy"><code>([^<]+)</.exec(html)?.[1] ?? '';
const statusOf = async (agent: { agent_id: string }, key: string) => (await getAgent(server, agent, key)).status;

describe('the pages of agents', () => {
  it('lead back through the sign-in, and are linked from the account of whoever has one', async () => {
    const { id, email, browser } = await person();
    expect((await browser.open('/account')).html).not.toContain(`href="${AGENTS}"`);
    const stranger = new Browser(server.origin);
    const login = await stranger.open(AGENTS);
    expect(login.url.pathname).toBe('/login');
    const back = await stranger.signIn(email, PASSWORD, login);
    expect([back.url.pathname, back.html]).toEqual([AGENTS, expect.stringContaining('There are no agents.')]);
    await giveAgent(id);
    expect((await browser.open('/account')).html).toMatch(/1 agent[\s\S]+href="\/account\/agents"/);
  });

  it('tell what each is, and who answers for it', async () => {
    const { id, browser } = await person();
    await giveAgent(id, '<i>Book</i>keeper');
    const stray = await onboard(server, { agent_id: 'stray', agent_name: 'Stray' });
    await browser.submit(await browser.open(stray.claim_url!));
    const { html } = await browser.open(AGENTS);
    for (const text of [
      '&lt;i&gt;Book&lt;/i&gt;keeper',
      'books',
      'Jane Developer',
      'read:cap-table',
      'Created just now',
    ])
      expect(html).toContain(text);
    expect(html).toMatch(/Stray<\/strong><code>stray<[\s\S]+claimed by you[\s\S]+write:stakeholders/);
  });

  it('ask before they end one, and from then on it is refused', async () => {
    const { id, browser } = await person();
    const agent = await giveAgent(id);
    const asked = await browser.open(`${AGENTS}/${agent.id}/end`);
    expect(asked.html).toContain('Delete Bookkeeper?');
    expect(await statusOf(agent, agent.key)).toBe(200); // asking ends nothing
    const done = await press(browser, asked, 'end');
    expect([done.url.pathname, done.html]).toEqual([AGENTS, expect.stringContaining('The agent was deleted')]);
    expect(await statusOf(agent, agent.key)).toBe(401);
    const [event] = await server.core.audit.list({ accountId: id, action: 'agent.deleted' });
    expect(event).toMatchObject({ actorId: id, clientId: agent.id });
    expect((await press(browser, asked, 'end')).status).toBe(404); // it is gone already
  });

  it('put another key in the place of the old one at once, and show it once, on the answer to the form', async () => {
    const { id, browser } = await person();
    const agent = await giveAgent(id);
    const visited: URL[] = [];
    browser.onResponse = (_method, url) => visited.push(url);
    const page = await press(browser, await browser.open(`${AGENTS}/${agent.id}/replace-key`), 'replace-key');
    const key = shownIn(page);
    expect([page.status, page.headers.get('cache-control'), key]).toEqual([
      201,
      'no-store',
      expect.stringMatching(/^ocs_live_\w+$/),
    ]);
    expect([await statusOf(agent, agent.key), await statusOf(agent, key)]).toEqual([401, 200]);
    for (const path of [AGENTS, '/account', `${AGENTS}/${agent.id}/end`, `${AGENTS}/${agent.id}/replace-key`])
      expect((await browser.open(path)).html, path).not.toContain(key.slice(16));
    expect(visited.map(String).join('\n')).not.toContain(key.slice(16));
    expect(server.lines.join('')).not.toContain(key.slice(16));
    const [event] = await server.core.audit.list({ accountId: id, action: 'agent.key_rotated' });
    expect(event).toMatchObject({ actorId: id, clientId: agent.id });
  });

  it('let every administrator of its organization do both, and tell who answers for it then', async () => {
    const { owner, member, agent } = await shared('admin');
    expect((await member.browser.open(AGENTS)).html).toMatch(/Northwind<\/span><span>claimed by another user/);
    const asked = await member.browser.open(`${AGENTS}/${agent.id}/replace-key`);
    expect(asked.html).toContain('You become responsible for the agent.');
    const key = shownIn(await press(member.browser, asked, 'replace-key'));
    expect(await statusOf(agent, key)).toBe(200);
    expect((await member.browser.open(AGENTS)).html).toMatch(/Northwind<\/span><span>claimed by you/);
    expect((await owner.browser.open(AGENTS)).html).toMatch(/Northwind<\/span><span>claimed by another user/);
    await server.base.db.membership.deleteMany({
      where: { accountId: member.id, organizationId: agent.organizationId },
    });
    await server.base.invalidationBus.publish('organizations', agent.organizationId);
    const left = await owner.browser.open(AGENTS);
    expect(left.html).toMatch(/Northwind<\/span><span>unclaimed/);
    await press(owner.browser, await owner.browser.open(`${AGENTS}/${agent.id}/end`), 'end');
    expect(await statusOf(agent, key)).toBe(401);
  });

  it.each(['viewer', 'operator'] as const)(
    'show agents to the %s of an organization, who can do nothing',
    async (role) => {
      const { member, agent } = await shared(role);
      const list = await member.browser.open(AGENTS);
      expect([list.html.includes('Shared'), list.html.includes(agent.id)]).toEqual([true, false]);
      for (const verb of ['end', 'replace-key']) {
        const shown = await member.browser.open(`${AGENTS}/${agent.id}/${verb}`);
        const posted = await post(member.browser, `${AGENTS}/${agent.id}/${verb}`, { csrf: csrfOf(list) });
        expect([shown.status, posted.status], verb).toEqual([403, 403]);
      }
      expect(await statusOf(agent, agent.key)).toBe(200);
    },
  );

  it('know nothing of the agent of another organization', async () => {
    const { id: otherId } = await person();
    const agent = await giveAgent(otherId, 'Private');
    const { browser } = await person();
    const list = await browser.open(AGENTS);
    expect(list.html).not.toContain('Private');
    for (const name of [agent.id, agent.agentId])
      for (const verb of ['end', 'replace-key']) {
        const shown = await browser.open(`${AGENTS}/${name}/${verb}`);
        const posted = await post(browser, `${AGENTS}/${name}/${verb}`, { csrf: csrfOf(list) });
        expect([shown.status, posted.status], verb).toEqual([404, 404]);
        expect(shown.html + posted.html).not.toContain('Private');
      }
    expect(await statusOf(agent, agent.key)).toBe(200);
  });

  it('do nothing for a form that another site sends', async () => {
    const { id, browser } = await person();
    const agent = await giveAgent(id);
    const csrf = csrfOf(await browser.open(AGENTS));
    for (const verb of ['end', 'replace-key']) {
      const path = `${AGENTS}/${agent.id}/${verb}`;
      expect((await post(browser, path, { csrf: 'x' })).status, verb).toBe(403);
      expect((await post(browser, path, { csrf }, { origin: 'https://evil.example' })).status, verb).toBe(403);
    }
    expect(await statusOf(agent, agent.key)).toBe(200);
  });

  it('want a recent proof of whoever replaces a key, and none of whoever ends an agent', async () => {
    const { id, email, browser } = await person();
    const agent = await giveAgent(id);
    const csrf = csrfOf(await browser.open(AGENTS));
    const path = `${AGENTS}/${agent.id}/replace-key`;
    await later(11 * 60 * 1000, async () => {
      for (const page of [await post(browser, path, { csrf }), await browser.open(path)])
        expect([page.url.pathname, page.url.searchParams.get('return_to')]).toEqual(['/login', path]);
      expect(await statusOf(agent, agent.key)).toBe(200);
      expect((await browser.open(AGENTS)).html).toContain('Bookkeeper'); // looking is for whoever is signed in
      const back = await browser.signIn(email, PASSWORD, await browser.open(path));
      expect([back.url.pathname, (await press(browser, back, 'replace-key')).status]).toEqual([path, 201]);
    });
    const other = await person();
    const lost = await giveAgent(other.id);
    const form = await other.browser.open(`${AGENTS}/${lost.id}/end`);
    await later(11 * 60 * 1000, async () => {
      expect((await press(other.browser, form, 'end')).url.pathname).toBe(AGENTS);
      expect(await statusOf(lost, lost.key)).toBe(401);
    });
  });
});
