// A program, or a tool, that speaks the *tools* dialect.
import { systemMeta } from '../../src/core/request-meta.js';
import { type Sent, send } from './api.js';
import type { RawAnswer } from './raw-request.js';
import { PASSWORD, type TestServer } from './server.js';

/** One call. `path` is what stands behind /api. */
export const tell = (server: { port: number }, method: string, path: string, sent?: Sent) =>
  send(server, method, `/api${path}`, sent);

/** What a bare array holds. */
export const itemsOf = (answer: RawAnswer) => JSON.parse(answer.text) as Record<string, unknown>[];

export const validate = (server: { port: number }, token: string, tool?: string) =>
  tell(server, 'POST', '/validate', { token, ...(tool !== undefined && { body: { tool } }) });

/** A token of this dialect. */
export async function tokenOf(server: { port: number }, email: string, password = PASSWORD): Promise<string> {
  const answer = await tell(server, 'POST', '/token', { body: { email, password } });
  if (answer.status !== 200) throw new Error(`not signed in: ${answer.text}`);
  return String(answer.json.token);
}

/** An account and its token: an administrator's, if the role says so. */
export async function newPerson(server: TestServer, role: 'admin' | 'viewer' = 'viewer') {
  const email = `${role}-${Math.random().toString(36).slice(2)}@example.com`;
  const input = { email, name: 'Jane Developer', password: PASSWORD };
  const { id } = await server.core.accounts.create(input, systemMeta, { role });
  return { id, email, token: await tokenOf(server, email) };
}

/** A key of this dialect. */
export async function newKey(server: TestServer, token: string): Promise<string> {
  const answer = await tell(server, 'POST', '/keys', { token, body: { name: 'ci-deploy' } });
  if (answer.status !== 201) throw new Error(answer.text);
  return String(answer.json.key);
}
