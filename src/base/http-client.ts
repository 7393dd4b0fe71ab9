/**
 * Requests to servers that the administrator configured: no redirects, and limits on time and size.
 * They can be in a private network, so addresses are not checked; URLs from clients go through
 * safe-fetch.ts. The proxies of the environment are not used.
 */
import { upstreamInvalid, upstreamUnavailable } from './app-error.js';

export interface HttpRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Aborts the request before the timeout. */
  signal?: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Headers that occur once. */
  headers: Record<string, string>;
  text: string;
}

/**
 * Sends a request. Throws `AppError` `upstream_unavailable` if the server is not reachable in time,
 * and `upstream_invalid_response` if the response is too large or not HTTP. The caller judges the
 * status.
 */
export type HttpClient = (url: string, request?: HttpRequest) => Promise<HttpResponse>;

export const REQUEST_TIMEOUT_MS = 5000;
const NEXT_ADDRESS_DELAY_MS = 1000;
const MAX_BYTES = 64 * 1024;
const TOO_LONG = 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
const NO_HTTP = /^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_CONTENT_LENGTH_MISMATCH)$/;
/** Statuses of responses without a body. */
const WITHOUT_BODY = new Set([101, 103, 204, 205, 304]);

export function createHttpClient({ timeoutMs = REQUEST_TIMEOUT_MS, maxBytes = MAX_BYTES } = {}): HttpClient {
  let client: ReturnType<typeof load> | undefined;

  return async function send(url, { method = 'GET', headers = {}, body, signal } = {}) {
    client ??= load();
    const { request, dispatcher } = await client;
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    try {
      const response = await request(url, {
        method: method as 'GET',
        dispatcher,
        signal: AbortSignal.any(signals),
        headers: { ...headers, 'accept-encoding': 'identity' }, // the limit counts compressed bytes
        ...(body !== undefined && { body }),
      });
      const single = Object.entries(response.headers).filter(([, value]) => typeof value === 'string');
      return {
        status: response.statusCode,
        headers: Object.fromEntries(single) as Record<string, string>,
        text: await response.body.text(),
      };
    } catch (error) {
      const code = String((error as { code?: unknown }).code);
      if (code === TOO_LONG) throw upstreamInvalid("The provider's response is too large.", error);
      if (NO_HTTP.test(code)) throw upstreamInvalid('The provider does not speak HTTP.', error);
      throw upstreamUnavailable('The provider does not respond.', error);
    }
  };

  /** Loaded on first use: most installations have no external provider. */
  async function load() {
    const { Agent, request } = await import('undici');
    const limits = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    // The default of a quarter of a second per address is too short for a busy process.
    const connect = { timeout: timeoutMs, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_DELAY_MS };
    return { request, dispatcher: new Agent({ ...limits, connect }) };
  }
}

/** Returns the client as a fetch function, for libraries. */
export function asFetch(request: HttpClient) {
  return async function fetchFromProvider(
    url: string,
    {
      method,
      headers,
      body,
      signal,
    }: { method: string; headers: Record<string, string>; body?: unknown; signal?: AbortSignal },
  ): Promise<Response> {
    const options = { method, headers, ...(signal && { signal }), ...(body != null && { body: String(body) }) };
    const { status, text, headers: received } = await request(url, options);
    return new Response(WITHOUT_BODY.has(status) ? null : text, { status, headers: received });
  };
}

export interface JsonRequest {
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: unknown;
  /** Aborts the request before the timeout. */
  signal?: AbortSignal;
}

export interface JsonResponse {
  status: number;
  /** Undefined if it is not JSON. */
  body: unknown;
  retryAfter: string | undefined;
}

/** Sends a request with JSON. Throws like `HttpClient`. */
export type JsonClient = (url: string, request?: JsonRequest) => Promise<JsonResponse>;

/** Creates a client that sends and receives JSON. */
export function createJsonClient(request: HttpClient = createHttpClient()): JsonClient {
  return async function requestJson(url, { method = 'GET', headers = {}, body, signal } = {}) {
    const response = await request(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    return { status: response.status, body: parse(response.text), retryAfter: response.headers['retry-after'] };
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
