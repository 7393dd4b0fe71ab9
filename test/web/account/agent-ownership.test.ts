import { afterAll, describe, expect, it } from 'vitest';
import { getAgent, onboard } from '../../support/agents.js';
import { Browser, formsOf } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { PASSWORD, startServer } from '../../support/server.js';
import { signedInBrowser } from '../../support/signed-in-browser.js';

const CLAIM = '/account/agents/claim';
const { clock, later } = movableClock();
const server = await startServer({ clock });
afterAll(() => server.close());

const isClaimed = async (agent: { agent_id: string; api_key: string }) =>
  (await getAgent(server, agent, agent.api_key)).json.claimed;

describe('the claim page of an agent', () => {
  it('asks for a sign-in, shows the agent and its capabilities, and claims it', async () => {
    const agent = await onboard(server, { agent_id: 'unclaimed', agent_name: '<b>Helper</b>' });
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    const login = await browser.open(agent.claim_url!);
    expect(login.url.pathname).toBe('/login');
    const page = await browser.signIn(email, PASSWORD, login);
    expect(page.url.pathname).toBe(CLAIM);
    for (const text of ['&lt;b&gt;Helper&lt;/b&gt;', 'unclaimed', 'Read stakeholders', email])
      expect(page.html).toContain(text);
    expect(await isClaimed(agent)).toBe(false); // GET only shows the agent
    const claimed = await browser.submit(page);
    expect(claimed.html).toContain('You have claimed &lt;b&gt;Helper&lt;/b&gt;');
    expect(claimed.html).toContain('href="/account/agents"');
    expect(await isClaimed(agent)).toBe(true);
  });

  it('rejects a link that was already used', async () => {
    const agent = await onboard(server, { agent_id: 'unclaimed' });
    const { browser: owner } = await signedInBrowser(server);
    await owner.submit(await owner.open(agent.claim_url!));
    const { browser } = await signedInBrowser(server);
    const page = await browser.open(agent.claim_url!);
    expect([page.status, page.html.includes('This link is no longer valid')]).toEqual([404, true]);
    expect(server.lines.join('')).not.toContain(agent.claim_url!.slice(-43));
  });

  it('rejects cross-site forms and sessions without a recent authentication', async () => {
    const agent = await onboard(server, { agent_id: 'unclaimed' });
    const { browser } = await signedInBrowser(server);
    const page = await browser.open(agent.claim_url!);
    const { fields } = formsOf(page.html).find(({ action }) => action === CLAIM)!;
    const post = (values: Record<string, string>, headers: Record<string, string> = {}) =>
      browser.open(CLAIM, { method: 'POST', body: new URLSearchParams(values), headers });
    expect((await post({ ...fields, csrf: 'x' })).status).toBe(403);
    expect((await post(fields, { origin: 'https://evil.example' })).status).toBe(403);
    await later(11 * 60_000, async () => {
      expect((await post(fields)).url.pathname).toBe('/login');
    });
    expect(await isClaimed(agent)).toBe(false);
  });
});
