// Response times to login hints must not reveal whether an account exists.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClaimedAgent } from '../../support/approval-requests.js';
import { startServer, type TestServer } from '../../support/server.js';

const TRIALS = 600;
const TOLERANCE = 0.2;

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const median = (times: number[]) => [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

it('the lookup of an approver takes equally long for unknown and for unrelated users', async () => {
  const { client_id: id } = await createClaimedAgent(server);
  const agent = (await server.core.activeAgents.find(id))!;
  const outsider = await server.account();
  const times: Record<string, number[]> = { [outsider.email]: [], 'unknown99@example.com': [] };
  const hints = Object.keys(times);
  for (let n = -50; n < TRIALS; n += 1) {
    // Alternating order, so that caches favor neither hint. A new agent id for each trial, because
    // requests are limited per agent.
    for (const hint of n % 2 ? hints : hints.toReversed()) {
      const started = performance.now();
      expect(await server.core.approvals.findApprover({ ...agent, id: `${agent.id}${n}` }, hint)).toBeUndefined();
      if (n >= 0) times[hint]!.push(performance.now() - started);
    }
  }
  const [a, b] = hints.map((hint) => median(times[hint]!)) as [number, number];
  expect(Math.abs(a - b) / Math.max(a, b), `unrelated ${a} ms, unknown ${b} ms`).toBeLessThan(TOLERANCE);
});
