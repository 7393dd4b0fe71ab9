/**
 * Asks a server that the keeper named in the settings, over JSON. See named-server for what it will
 * not do.
 */
import { createHttpClient, type HttpClient } from './http-client.js';

export interface JsonRequest {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: unknown;
  /** Ends the wait before the time of a single question is over. */
  signal?: AbortSignal;
}

export interface JsonResponse {
  status: number;
  /** Undefined when it is not JSON. */
  body: unknown;
  retryAfter: string | undefined;
}

/** Refuses as a named server does. */
export type JsonClient = (url: string, question?: JsonRequest) => Promise<JsonResponse>;

export function createJsonClient(ask: HttpClient = createHttpClient()): JsonClient {
  return async function askJson(url, { method = 'GET', headers = {}, body, signal } = {}) {
    const answer = await ask(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    return { status: answer.status, body: parse(answer.text), retryAfter: answer.headers['retry-after'] };
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
