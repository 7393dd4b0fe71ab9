// Time tells nothing: a hint that leads to nobody takes as long as one to somebody who has nothing
// to do with the agent.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { agentOfSomebody } from '../../support/questions.js';
import { startServer, type TestServer } from '../../support/server.js';

const TRIALS = 600;
const TOLERANCE = 0.2;

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const median = (times: number[]) => [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

it('takes as long for nobody as for a stranger', async () => {
  const { client_id: id } = await agentOfSomebody(server);
  const agent = (await server.core.activeAgents.find(id))!;
  const stranger = await server.account();
  const times: Record<string, number[]> = { [stranger.email]: [], 'nobody99@example.com': [] };
  const hints = Object.keys(times);
  for (let n = -50; n < TRIALS; n += 1) {
    // In turn, so that neither profits from what the other warmed up; as ever another agent, for
    // each may ask a number of times only.
    for (const hint of n % 2 ? hints : hints.toReversed()) {
      const started = performance.now();
      expect(await server.core.approvals.findApprover({ ...agent, id: `${agent.id}${n}` }, hint)).toBeUndefined();
      if (n >= 0) times[hint]!.push(performance.now() - started);
    }
  }
  const [a, b] = hints.map((hint) => median(times[hint]!)) as [number, number];
  expect(Math.abs(a - b) / Math.max(a, b), `stranger ${a} ms, nobody ${b} ms`).toBeLessThan(TOLERANCE);
});
