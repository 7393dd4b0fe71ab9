import { callApi, type Target, type TestResponse } from './request.js';
// A program that is onboarded as an agent.

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
  server: Target,
  body: object = {},
  { token, headers }: { token?: string; headers?: Record<string, string> } = {},
): Promise<TestResponse> {
  return callApi(server, 'POST', '/agents/onboard', {
    body: { ...AGENT, ...body },
    ...(token && { token }),
    ...(headers && { headers }),
  });
}

/** A stranger's agent; with the token of a person, one of their organization. */
export async function onboard(server: Target, body: object = {}, token?: string): Promise<OnboardedAgent> {
  const answer = await tryToOnboard(server, body, { ...(token && { token }) });
  if (answer.status !== 201) throw new Error(`not onboarded: ${answer.text}`);
  return answer.json as unknown as OnboardedAgent;
}

/** What an agent sees of itself. */
export const getAgent = (server: Target, { agent_id: id }: Pick<OnboardedAgent, 'agent_id'>, credential: string) =>
  callApi(server, 'GET', `/agents/${id}`, { token: credential });
