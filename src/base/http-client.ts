/**
 * Sends requests to servers that the operator configured: without redirects, and with limits on
 * time and size. These servers can be in a private network, so addresses are not checked; URLs from
 * clients go through safe-fetch.ts. Ignores proxy variables such as HTTPS_PROXY.
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
 * Sends a request. Throws `AppError` `upstream_unavailable` if the server does not respond in time,
 * and `upstream_invalid_response` if the response is too large or not HTTP. The caller must check
 * the status.
 */
export type HttpClient = (url: string, request?: HttpRequest) => Promise<HttpResponse>;

export const REQUEST_TIMEOUT_MS = 5000;
const NEXT_ADDRESS_DELAY_MS = 1000;
const MAX_RESPONSE_BYTES = 64 * 1024;
const TOO_LARGE_CODE = 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
const INVALID_HTTP_CODES = /^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_CONTENT_LENGTH_MISMATCH)$/;
/** Statuses with which `new Response` rejects a body. */
const NULL_BODY_STATUSES = new Set([101, 103, 204, 205, 304]);

/** Creates a client. `timeoutMs` covers the whole request, including the body of the response. */
export function createHttpClient({ timeoutMs = REQUEST_TIMEOUT_MS, maxBytes = MAX_RESPONSE_BYTES } = {}): HttpClient {
  let undici: ReturnType<typeof loadUndici> | undefined;

  return async function send(url, { method = 'GET', headers = {}, body, signal } = {}) {
    undici ??= loadUndici();
    const { request, dispatcher } = await undici;
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    try {
      const response = await request(url, {
        method: method as 'GET',
        dispatcher,
        signal: AbortSignal.any(signals),
        headers: { ...headers, 'accept-encoding': 'identity' }, // the limit counts compressed bytes
        ...(body !== undefined && { body }),
      });
      const singleHeaders = Object.entries(response.headers).filter(([, value]) => typeof value === 'string');
      return {
        status: response.statusCode,
        headers: Object.fromEntries(singleHeaders) as Record<string, string>,
        text: await response.body.text(),
      };
    } catch (error) {
      const code = String((error as { code?: unknown }).code);
      if (code === TOO_LARGE_CODE) throw upstreamInvalid("The provider's response is too large.", error);
      if (INVALID_HTTP_CODES.test(code)) throw upstreamInvalid("The provider's response is not valid HTTP.", error);
      throw upstreamUnavailable('The provider does not respond.', error);
    }
  };

  /** Loads undici on first use, because most installations have no external provider. */
  async function loadUndici() {
    const { Agent, request } = await import('undici');
    const limits = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    // The default, 250 ms per address, is too short for a busy process.
    const connect = { timeout: timeoutMs, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_DELAY_MS };
    return { request, dispatcher: new Agent({ ...limits, connect }) };
  }
}

/** Adapts a client to the `fetch` signature that libraries accept. */
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
    return new Response(NULL_BODY_STATUSES.has(status) ? null : text, { status, headers: received });
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
  /** The parsed body. Undefined if it is not JSON. */
  body: unknown;
  /** The `Retry-After` header. */
  retryAfter: string | undefined;
}

/** Sends a JSON request. Throws like `HttpClient`. */
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
    return { status: response.status, body: parseJson(response.text), retryAfter: response.headers['retry-after'] };
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
