/**
 * Asks a server that the keeper named in the settings, over JSON: no redirect, little time, few bytes. It may stand in a private
 * network, so addresses are not guarded; for the URLs of strangers there is base/fetch. The environment's proxies are not asked.
 */
import { upstreamInvalid, upstreamUnavailable } from './errors.js';

export interface JsonQuestion {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: unknown;
  /** Ends the wait before the time of a single question is over. */
  signal?: AbortSignal;
}

export interface JsonAnswer {
  status: number;
  /** Undefined when it is not JSON. */
  body: unknown;
  retryAfter: string | undefined;
}

/**
 * Refuses with `upstream_unavailable` when nobody answers, or not in time, and with `upstream_invalid_response` when the answer is too
 * long. Whatever is answered, a redirect or an error too, is for the caller to judge.
 */
export type JsonClient = (url: string, question?: JsonQuestion) => Promise<JsonAnswer>;

export const ANSWER_WITHIN_MS = 5000;
const MAX_BYTES = 64 * 1024;
const TOO_LONG = 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
const NO_HTTP = /^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_CONTENT_LENGTH_MISMATCH)$/;

export function createJsonClient({ timeoutMs = ANSWER_WITHIN_MS, maxBytes = MAX_BYTES } = {}): JsonClient {
  let client: ReturnType<typeof load> | undefined;

  return async function ask(url, { method = 'GET', headers = {}, body, signal } = {}) {
    client ??= load();
    const { request, dispatcher } = await client;
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    try {
      const answer = await request(url, {
        method,
        dispatcher,
        signal: AbortSignal.any(signals),
        headers: {
          accept: 'application/json',
          'accept-encoding': 'identity', // the limit counts what comes over the wire
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const retryAfter = answer.headers['retry-after'];
      return {
        status: answer.statusCode,
        body: parse(await answer.body.text()),
        retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
      };
    } catch (error) {
      const code = String((error as { code?: unknown }).code);
      if (code === TOO_LONG) throw upstreamInvalid('The other provider answers without end.', error);
      if (NO_HTTP.test(code)) throw upstreamInvalid('The other provider does not speak HTTP.', error);
      throw upstreamUnavailable('The other provider does not answer.', error);
    }
  };

  /** Loaded when it is first needed: most installations never ask anybody. */
  async function load() {
    const { Agent, request } = await import('undici');
    const limits = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    return { request, dispatcher: new Agent({ ...limits, connect: { timeout: timeoutMs } }) };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
