// What somebody does who means harm: requests that no library would send, and clients that nobody
// vouches for.
import { request } from 'node:http';
import { REDIRECT_URI, type TestClient } from './relying-party.js';
import type { TestServer } from './server.js';

export interface RawAnswer {
  status: number;
  headers: Record<string, string | undefined>;
  cookies: string[];
  text: string;
  /** The members of a JSON body; empty for anything else. */
  json: Record<string, unknown>;
}

/** One request, as it is written: no redirect is followed, no header is added or forbidden. */
export function ask(
  server: { port: number },
  method: string,
  path: string,
  headers: Record<string, string | string[]> = {},
  body?: string | Buffer,
): Promise<RawAnswer> {
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, method, path, headers: { ...length, ...headers } };
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const { 'set-cookie': cookies = [], ...rest } = response.headers;
        resolve({ status: response.statusCode!, headers: rest as never, cookies, text, json: membersOf(text) });
      });
    });
    asked.on('error', reject).end(body);
  });
}

export const FORM = 'application/x-www-form-urlencoded';

/** A form, with the client's secret in the header if it has one. */
export function postForm(
  server: { port: number },
  path: string,
  params: Record<string, string> | [string, string][],
  { client, headers = {} }: { client?: TestClient; headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  const auth: Record<string, string> = client?.secret ? { authorization: basic(client) } : {};
  const body = new URLSearchParams(params as string[][]);
  if (client && !client.secret) body.append('client_id', client.id);
  return ask(server, 'POST', path, { 'content-type': FORM, ...auth, ...headers }, body.toString());
}

export const basic = ({ id, secret }: TestClient) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

/** A client that registered itself, and its token for RFC 7592. */
export async function registerStranger(
  server: Pick<TestServer, 'port'>,
  metadata: object = {},
  headers: Record<string, string> = {},
): Promise<TestClient & { managementToken: string; metadata: Record<string, unknown> }> {
  const answer = await tryToRegister(server, metadata, headers);
  if (answer.status !== 201) throw new Error(`not registered: ${answer.text}`);
  const { client_id: id, client_secret: secret = '', registration_access_token: managementToken } = answer.json;
  return { id, secret, managementToken, metadata: answer.json } as never;
}

export function tryToRegister(
  server: Pick<TestServer, 'port'>,
  metadata: object,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  const given = { client_name: 'Stranger', redirect_uris: [REDIRECT_URI], ...metadata };
  const type = { 'content-type': 'application/json' };
  return ask(server, 'POST', '/oauth/clients/register', { ...type, ...headers }, JSON.stringify(given));
}

function membersOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
