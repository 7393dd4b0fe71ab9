// A program that is onboarded as an agent.
import { call } from './api.js';
import type { RawAnswer } from './raw-request.js';

export interface OnboardedAgent {
  token: string;
  api_key: string;
  company_id: string;
  agent_id: string;
  agent_name: string;
  client_id: string;
  capabilities: string[];
  claim_url?: string;
}

export const AGENT = {
  agent_id: 'my-cap-table-agent',
  agent_name: 'Cap Table Automation',
  capabilities: ['read:cap-table', 'write:stakeholders'],
};

export function tryToOnboard(
  server: { port: number },
  body: object = {},
  { token, headers }: { token?: string; headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  return call(server, 'POST', '/agents/onboard', {
    body: { ...AGENT, ...body },
    ...(token && { token }),
    ...(headers && { headers }),
  });
}

/** A stranger's agent; with the token of a person, one of their organization. */
export async function onboard(server: { port: number }, body: object = {}, token?: string): Promise<OnboardedAgent> {
  const answer = await tryToOnboard(server, body, { ...(token && { token }) });
  if (answer.status !== 201) throw new Error(`not onboarded: ${answer.text}`);
  return answer.json as unknown as OnboardedAgent;
}

/** What an agent sees of itself. */
export const self = (
  server: { port: number },
  { agent_id: id }: Pick<OnboardedAgent, 'agent_id'>,
  credential: string,
) => call(server, 'GET', `/agents/${id}`, { token: credential });
