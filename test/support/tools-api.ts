// A program, or a tool, that speaks the *tools* dialect.
import { systemCaller } from '../../src/core/request-meta.js';
import { type Sent, send } from './api.js';
import type { RawAnswer } from './raw-request.js';
import { type House, PASSWORD } from './server.js';

/** One call. `path` is what stands behind /api. */
export const tell = (house: { port: number }, method: string, path: string, sent?: Sent) =>
  send(house, method, `/api${path}`, sent);

/** What a bare array holds. */
export const itemsOf = (answer: RawAnswer) => JSON.parse(answer.text) as Record<string, unknown>[];

export const validate = (house: { port: number }, token: string, tool?: string) =>
  tell(house, 'POST', '/validate', { token, ...(tool !== undefined && { body: { tool } }) });

/** A token of this dialect. */
export async function tokenOf(house: { port: number }, email: string, password = PASSWORD): Promise<string> {
  const answer = await tell(house, 'POST', '/token', { body: { email, password } });
  if (answer.status !== 200) throw new Error(`not signed in: ${answer.text}`);
  return String(answer.json.token);
}

/** An account and its token: an administrator's, if the role says so. */
export async function newPerson(house: House, role: 'admin' | 'viewer' = 'viewer') {
  const email = `${role}-${Math.random().toString(36).slice(2)}@example.com`;
  const input = { email, name: 'Jane Developer', password: PASSWORD };
  const { id } = await house.core.accounts.create(input, systemCaller, { role });
  return { id, email, token: await tokenOf(house, email) };
}

/** A key of this dialect. */
export async function newKey(house: House, token: string): Promise<string> {
  const answer = await tell(house, 'POST', '/keys', { token, body: { name: 'ci-deploy' } });
  if (answer.status !== 201) throw new Error(answer.text);
  return String(answer.json.key);
}
