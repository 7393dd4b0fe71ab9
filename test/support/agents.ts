// Onboarding of agents at the JSON API.
import { callApi, type Target, type TestResponse } from './request.js';

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

/** Requests an onboarding, which may be rejected. */
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

/** Onboards an agent: unclaimed, or owned by the user whose token this is. */
export async function onboard(server: Target, body: object = {}, token?: string): Promise<OnboardedAgent> {
  const response = await tryToOnboard(server, body, { ...(token && { token }) });
  if (response.status !== 201) throw new Error(`not onboarded: ${response.text}`);
  return response.json as unknown as OnboardedAgent;
}

/** Reads an agent with its own credential. */
export const getAgent = (server: Target, { agent_id: id }: Pick<OnboardedAgent, 'agent_id'>, credential: string) =>
  callApi(server, 'GET', `/agents/${id}`, { token: credential });
