// The page on which a person takes on an agent that nobody answers for.
import { afterAll, expect, it } from 'vitest';
import { getAgent, onboard } from '../../support/agents.js';
import { Browser, formsOf } from '../../support/browser.js';
import { PASSWORD, startServer } from '../../support/server.js';

const server = await startServer();
afterAll(() => server.close());

async function visitor() {
  const { email } = await server.account();
  return { email, browser: new Browser(server.origin) };
}

it('leads through the sign-in and back, tells what the agent may, and takes it on', async () => {
  const agent = await onboard(server, { agent_id: 'stray', agent_name: '<b>Stray</b>' });
  const { email, browser } = await visitor();
  const login = await browser.open(agent.claim_url!);
  expect(login.url.pathname).toBe('/login');
  const page = await browser.signIn(email, PASSWORD, login);
  expect(page.url.pathname).toBe('/account/agents/claim');
  for (const text of ['&lt;b&gt;Stray&lt;/b&gt;', 'stray', 'Read stakeholders', email])
    expect(page.html).toContain(text);
  expect((await getAgent(server, agent, agent.api_key)).json.claimed).toBe(false); // looking at it takes nothing on
  const done = await browser.submit(page);
  expect(done.html).toContain('You have claimed &lt;b&gt;Stray&lt;/b&gt;');
  expect(done.html).toContain('href="/account/agents"');
  expect((await getAgent(server, agent, agent.api_key)).json.claimed).toBe(true);
  const { browser: other, email: theirs } = await visitor();
  await other.signIn(theirs, PASSWORD);
  const spent = await other.open(agent.claim_url!);
  expect([spent.status, spent.html.includes('This link has expired')]).toEqual([404, true]);
  expect(server.lines.join('')).not.toContain(agent.claim_url!.slice(-43));
});

it('takes nothing on for a form that another site sends, nor for a login that is old', async () => {
  const agent = await onboard(server, { agent_id: 'stray' });
  const { email, browser } = await visitor();
  await browser.signIn(email, PASSWORD);
  const page = await browser.open(agent.claim_url!);
  const fields = formsOf(page.html).find(({ action }) => action === '/account/agents/claim')!.fields;
  const post = (values: Record<string, string>, headers: Record<string, string> = {}) =>
    browser.open('/account/agents/claim', { method: 'POST', body: new URLSearchParams(values), headers });
  expect((await post({ ...fields, csrf: 'x' })).status).toBe(403);
  expect((await post(fields as Record<string, string>, { origin: 'https://evil.example' })).status).toBe(403);
  await server.base.db.session.updateMany({ data: { authTime: new Date(Date.now() - 11 * 60_000) } });
  await server.base.invalidationBus.publish('sessions');
  expect((await post(fields as Record<string, string>)).url.pathname).toBe('/login');
  expect((await getAgent(server, agent, agent.api_key)).json.claimed).toBe(false);
});
