// The HTTP client of the tests. It sends exactly what it is given: it follows no redirect, adds no
// header, and so can send requests that no library would.
import { request } from 'node:http';
import type { TestClient } from './relying-party.js';

/** A server to send requests to. */
export interface Target {
  origin: string;
}

export interface TestResponse {
  status: number;
  headers: Record<string, string | undefined>;
  /** The `Set-Cookie` lines. */
  cookies: string[];
  text: string;
  /** The members of a JSON body. Empty for any other body. */
  json: Record<string, unknown>;
}

export interface JsonRequest {
  body?: unknown;
  /** Sent as a bearer token. */
  token?: string;
  headers?: Record<string, string>;
}

/** Sends one request to a path of the server. */
export function sendRequest(
  { origin }: Target,
  method: string,
  path: string,
  headers: Record<string, string | string[]> = {},
  body?: string | Buffer,
): Promise<TestResponse> {
  const { host, hostname, port } = new URL(origin);
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const options = {
      host: hostname === 'localhost' ? '127.0.0.1' : hostname,
      port,
      method,
      path,
      headers: { host, ...length, ...headers },
    };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', reject); // the connection broke before the end of the body
      response.on('end', () => {
        const { 'set-cookie': cookies = [], ...rest } = response.headers;
        resolve({ status: response.statusCode!, headers: rest as never, cookies, text, json: parseObject(text) });
      });
    });
    sent.on('error', reject).end(body);
  });
}

/** Sends a JSON body, with a bearer token if there is one. */
export function sendJson(
  target: Target,
  method: string,
  path: string,
  { body, token, headers = {} }: JsonRequest = {},
): Promise<TestResponse> {
  const all = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...headers,
  };
  return sendRequest(target, method, path, all, body === undefined ? undefined : JSON.stringify(body));
}

/** Calls the JSON API. `path` is relative to `/api/v1`. */
export const callApi = (target: Target, method: string, path: string, sent?: JsonRequest) =>
  sendJson(target, method, `/api/v1${path}`, sent);

/** Calls the tools API. `path` is relative to `/api`. */
export const callTools = (target: Target, method: string, path: string, sent?: JsonRequest) =>
  sendJson(target, method, `/api${path}`, sent);

export const FORM = 'application/x-www-form-urlencoded';

/**
 * Posts a form. A client with a secret authenticates with HTTP Basic (RFC 6749, section 2.3.1), one
 * without sends its `client_id`.
 */
export function postForm(
  target: Target,
  path: string,
  params: Record<string, string> | [string, string][],
  { client, headers = {} }: { client?: TestClient; headers?: Record<string, string> } = {},
): Promise<TestResponse> {
  const authorization: Record<string, string> = client?.secret ? { authorization: basicAuth(client) } : {};
  const body = new URLSearchParams(params as string[][]);
  if (client && !client.secret && !body.has('client_id')) body.append('client_id', client.id);
  return sendRequest(target, 'POST', path, { 'content-type': FORM, ...authorization, ...headers }, body.toString());
}

export const basicAuth = ({ id, secret }: TestClient) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
