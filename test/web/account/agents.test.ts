import { afterAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember } from '../../support/accounts.js';
import { getAgent, onboard } from '../../support/agents.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { PASSWORD, startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const AGENTS = '/account/agents';
const ELEVEN_MINUTES_MS = 11 * 60 * 1000;
const { clock, later } = movableClock();
const server = await startServer({ clock });
afterAll(() => server.close());

const signIn = (name?: string) => signedInBrowser(server, name);

/** Creates an agent in the organization (default: the account's personal one). */
async function createAgent(accountId: string, name = 'Bookkeeper', organizationId?: string) {
  const creator = (await server.core.accounts.find(accountId))!;
  const { agent, key } = await server.core.agents.onboarding.onboardInto(
    organizationId ?? (await server.core.organizations.personalOrganizationId(accountId)),
    { account: creator },
    { agentId: 'books', name, capabilities: ['read:cap-table'] },
    systemMeta,
  );
  return { ...agent, key, agent_id: agent.agentId };
}

/** Creates an organization with an owner, another member and an agent of the owner. */
async function createSharedOrganization(role: 'viewer' | 'operator' | 'admin') {
  const owner = await signIn('Ada Okafor');
  const { id } = await server.core.organizations.create(owner.id, 'Northwind', systemMeta);
  const member = await signIn();
  await addMember(server, id, member.id, role);
  return { owner, member, agent: await createAgent(owner.id, 'Shared', id) };
}

const post = (browser: Browser, path: string, values: Record<string, string>, headers: Record<string, string> = {}) =>
  browser.open(path, { method: 'POST', body: new URLSearchParams(values), headers });
const submit = (browser: Browser, page: Page, verb: 'end' | 'replace-key') =>
  browser.submit(
    page,
    {},
    formsOf(page.html).findIndex(({ action }) => action.endsWith(`/${verb}`)),
  );
const csrfOf = ({ html }: Page) => formsOf(html)[0]?.fields.csrf ?? '';
const keyShownIn = ({ html }: Page) => /<pre class="copy"><code>([^<]+)</.exec(html)?.[1] ?? '';
const statusOf = async (agent: { agent_id: string }, key: string) => (await getAgent(server, agent, key)).status;

describe('the agent pages', () => {
  it('redirect to the sign-in page and back', async () => {
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    const login = await browser.open(AGENTS);
    expect(login.url.pathname).toBe('/login');
    const list = await browser.signIn(email, PASSWORD, login);
    expect([list.url.pathname, list.html]).toEqual([AGENTS, expect.stringContaining('There are no agents.')]);
  });

  it('are linked from the account page once there is an agent', async () => {
    const { id, browser } = await signIn();
    expect((await browser.open('/account')).html).not.toContain(`href="${AGENTS}"`);
    await createAgent(id);
    expect((await browser.open('/account')).html).toMatch(/1 agent[\s\S]+href="\/account\/agents"/);
  });

  it('list each agent with its capabilities and owner', async () => {
    const { id, browser } = await signIn();
    await createAgent(id, '<i>Tax</i> agent');
    const claimed = await onboard(server, { agent_id: 'claimed', agent_name: 'Claimed' });
    await browser.submit(await browser.open(claimed.claim_url!));
    const { html } = await browser.open(AGENTS);
    for (const text of [
      '&lt;i&gt;Tax&lt;/i&gt; agent',
      'books',
      'Jane Developer',
      'read:cap-table',
      'Created just now',
    ])
      expect(html).toContain(text);
    expect(html).toMatch(/Claimed<\/strong><code>claimed<[\s\S]+claimed by you[\s\S]+write:stakeholders/);
  });

  it('delete an agent after a confirmation', async () => {
    const { id, browser } = await signIn();
    const agent = await createAgent(id);
    const confirmation = await browser.open(`${AGENTS}/${agent.id}/end`);
    expect(confirmation.html).toContain('Delete Bookkeeper?');
    expect(await statusOf(agent, agent.key)).toBe(200);
    const list = await submit(browser, confirmation, 'end');
    expect([list.url.pathname, list.html]).toEqual([AGENTS, expect.stringContaining('The agent was deleted')]);
    expect(await statusOf(agent, agent.key)).toBe(401);
    const [event] = await server.core.audit.list({ accountId: id, action: 'agent.deleted' });
    expect(event).toMatchObject({ actorId: id, clientId: agent.id });
    expect((await submit(browser, confirmation, 'end')).status).toBe(404);
  });

  it('replace a key immediately and show the new one once', async () => {
    const { id, browser } = await signIn();
    const agent = await createAgent(id);
    const visited: URL[] = [];
    browser.onResponse = (_method, url) => visited.push(url);
    const page = await submit(browser, await browser.open(`${AGENTS}/${agent.id}/replace-key`), 'replace-key');
    const key = keyShownIn(page);
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

  it('let an administrator of the organization replace the key, and become the owner', async () => {
    const { owner, member, agent } = await createSharedOrganization('admin');
    const list = await member.browser.open(AGENTS);
    expect(list.html).toMatch(/Northwind<\/span><span>claimed by another user/);
    expect(list.html).not.toContain('Its former owner may still know the key');
    const confirmation = await member.browser.open(`${AGENTS}/${agent.id}/replace-key`);
    expect(confirmation.html).toContain('You become responsible for the agent.');
    const key = keyShownIn(await submit(member.browser, confirmation, 'replace-key'));
    expect(await statusOf(agent, key)).toBe(200);
    expect((await member.browser.open(AGENTS)).html).toMatch(/Northwind<\/span><span>claimed by you/);
    expect((await owner.browser.open(AGENTS)).html).toMatch(/Northwind<\/span><span>claimed by another user/);
  });

  it('let another administrator delete an agent whose owner has left the organization', async () => {
    const { owner, member, agent } = await createSharedOrganization('admin');
    const replaced = await member.browser.open(`${AGENTS}/${agent.id}/replace-key`);
    const key = keyShownIn(await submit(member.browser, replaced, 'replace-key'));
    await server.core.members.remove({ accountId: owner.id }, agent.organizationId, member.id, systemMeta);
    const list = await owner.browser.open(AGENTS);
    expect(list.html).toMatch(/Northwind<\/span><span>no owner/);
    expect(list.html).toContain('Its former owner may still know the key');
    await submit(owner.browser, await owner.browser.open(`${AGENTS}/${agent.id}/end`), 'end');
    expect(await statusOf(agent, key)).toBe(401);
  });

  it.each(['viewer', 'operator'] as const)('show agents read-only to a member with the role %s', async (role) => {
    const { member, agent } = await createSharedOrganization(role);
    const list = await member.browser.open(AGENTS);
    expect([list.html.includes('Shared'), list.html.includes(agent.id)]).toEqual([true, false]);
    for (const verb of ['end', 'replace-key']) {
      const confirmation = await member.browser.open(`${AGENTS}/${agent.id}/${verb}`);
      const posted = await post(member.browser, `${AGENTS}/${agent.id}/${verb}`, { csrf: csrfOf(list) });
      expect([confirmation.status, posted.status], verb).toEqual([403, 403]);
    }
    expect(await statusOf(agent, agent.key)).toBe(200);
  });

  it('do not reveal the agents of another organization', async () => {
    const { id: otherId } = await signIn();
    const agent = await createAgent(otherId, 'Private');
    const { browser } = await signIn();
    const list = await browser.open(AGENTS);
    expect(list.html).not.toContain('Private');
    for (const id of [agent.id, agent.agentId])
      for (const verb of ['end', 'replace-key']) {
        const confirmation = await browser.open(`${AGENTS}/${id}/${verb}`);
        const posted = await post(browser, `${AGENTS}/${id}/${verb}`, { csrf: csrfOf(list) });
        expect([confirmation.status, posted.status], verb).toEqual([404, 404]);
        expect(confirmation.html + posted.html).not.toContain('Private');
      }
    expect(await statusOf(agent, agent.key)).toBe(200);
  });

  it('reject cross-site forms', async () => {
    const { id, browser } = await signIn();
    const agent = await createAgent(id);
    const csrf = csrfOf(await browser.open(AGENTS));
    for (const verb of ['end', 'replace-key']) {
      const path = `${AGENTS}/${agent.id}/${verb}`;
      expect((await post(browser, path, { csrf: 'x' })).status, verb).toBe(403);
      expect((await post(browser, path, { csrf }, { origin: 'https://evil.example' })).status, verb).toBe(403);
    }
    expect(await statusOf(agent, agent.key)).toBe(200);
  });

  it('require a recent authentication to replace a key', async () => {
    const { id, email, browser } = await signIn();
    const agent = await createAgent(id);
    const csrf = csrfOf(await browser.open(AGENTS));
    const path = `${AGENTS}/${agent.id}/replace-key`;
    await later(ELEVEN_MINUTES_MS, async () => {
      for (const page of [await post(browser, path, { csrf }), await browser.open(path)])
        expect([page.url.pathname, page.url.searchParams.get('return_to')]).toEqual(['/login', path]);
      expect(await statusOf(agent, agent.key)).toBe(200);
      const page = await browser.signIn(email, PASSWORD, await browser.open(path));
      expect([page.url.pathname, (await submit(browser, page, 'replace-key')).status]).toEqual([path, 201]);
    });
  });

  it('list and delete agents without a recent authentication', async () => {
    const { id, browser } = await signIn();
    const agent = await createAgent(id);
    const confirmation = await browser.open(`${AGENTS}/${agent.id}/end`);
    await later(ELEVEN_MINUTES_MS, async () => {
      expect((await browser.open(AGENTS)).html).toContain('Bookkeeper');
      expect((await submit(browser, confirmation, 'end')).url.pathname).toBe(AGENTS);
      expect(await statusOf(agent, agent.key)).toBe(401);
    });
  });
});
