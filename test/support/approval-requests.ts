// Approval requests of agents (CIBA), and polling for their result.
import { type OnboardedAgent, onboard } from './agents.js';
import { logIn } from './api.js';
import { requestToken, type TokenResponse } from './relying-party.js';
import { createResource } from './resources.js';
import { PASSWORD, type TestServer } from './server.js';

export const CIBA_GRANT = 'urn:openid:params:grant-type:ciba';
export const CAP_TABLE = 'https://cap.example/api';

/** Registers an API with two scopes that are capabilities of agents. */
export async function addCapTable(server: TestServer): Promise<void> {
  const scopes = { 'write:equity': 'Issue grants.', 'read:cap-table': 'Read who owns what.' };
  await createResource(server, CAP_TABLE, {
    name: 'Cap table',
    scopes: Object.entries(scopes).map(([name, description]) => ({ name, description, capability: true })),
  });
}

export interface ClaimedAgent extends OnboardedAgent {
  ownerId: string;
  ownerEmail: string;
  /** An access token of the owner. */
  bearer: string;
}

let agents = 0;

/** Creates an account, and an agent that it owns. */
export async function createClaimedAgent(server: TestServer): Promise<ClaimedAgent> {
  const owner = await server.account();
  const { access_token: bearer } = await logIn(server, owner.email, PASSWORD);
  agents += 1;
  const agent = await onboard(server, { agent_id: `agent-${agents}`, capabilities: ['write:equity'] }, bearer);
  return { ...agent, ownerId: owner.id, ownerEmail: owner.email, bearer };
}

export const ACTION = {
  type: 'agent_action',
  actions: ['issue an equity grant'],
  identifier: 'Series A',
  parameters: { shares: 1000, to: 'Ada Okafor' },
};

export interface ApprovalRequest {
  status: number;
  headers: Headers;
  body: { auth_req_id?: string; expires_in?: number; interval?: number; error?: string; error_description?: string };
}

/** Sends a backchannel authentication request. Leaves out empty parameters. */
export async function requestApproval(
  server: { origin: string },
  agent: Pick<OnboardedAgent, 'client_id' | 'api_key'>,
  hint: string,
  more: Record<string, string> = {},
): Promise<ApprovalRequest> {
  const all = {
    scope: 'openid write:equity',
    resource: CAP_TABLE,
    login_hint: hint,
    binding_message: 'Grant 2026-114',
    authorization_details: JSON.stringify([ACTION]),
    ...more,
  };
  const response = await fetch(`${server.origin}/oauth/ciba`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${agent.client_id}:${agent.api_key}`).toString('base64')}` },
    body: new URLSearchParams(Object.entries(all).filter(([, value]) => value !== '')),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as ApprovalRequest['body'],
  };
}

/** Polls the token endpoint once. */
export function poll(
  server: { origin: string },
  agent: Pick<OnboardedAgent, 'client_id' | 'api_key'>,
  { body }: Pick<ApprovalRequest, 'body'>,
): Promise<TokenResponse> {
  const client = { id: agent.client_id, secret: agent.api_key };
  return requestToken(server, client, { grant_type: CIBA_GRANT, auth_req_id: String(body.auth_req_id) });
}
