// Accounts, tokens and keys of the tools API (`/api`).
import { systemMeta } from '../../src/base/request-meta.js';
import { callTools, type Target, type TestResponse } from './request.js';
import { PASSWORD, type TestServer } from './server.js';

/** Parses a response whose body is an array. */
export const parseItems = (response: TestResponse) => JSON.parse(response.text) as Record<string, unknown>[];

export const validateToken = (target: Target, token: string, tool?: string) =>
  callTools(target, 'POST', '/validate', { token, ...(tool !== undefined && { body: { tool } }) });

export async function requestToolsToken(target: Target, email: string, password = PASSWORD): Promise<string> {
  const response = await callTools(target, 'POST', '/token', { body: { email, password } });
  if (response.status !== 200) throw new Error(`not signed in: ${response.text}`);
  return String(response.json.token);
}

/** Creates an account, an administrator if the role is `admin`, and a token for it. */
export async function createToolsAccount(server: TestServer, role: 'admin' | 'viewer' = 'viewer') {
  const email = `${role}-${Math.random().toString(36).slice(2)}@example.com`;
  const input = { email, name: 'Jane Developer', password: PASSWORD };
  const { id } = await server.core.accounts.create(input, systemMeta, { role });
  return { id, email, token: await requestToolsToken(server, email) };
}

export async function createToolsKey(target: Target, token: string): Promise<string> {
  const response = await callTools(target, 'POST', '/keys', { token, body: { name: 'ci-deploy' } });
  if (response.status !== 201) throw new Error(response.text);
  return String(response.json.key);
}
