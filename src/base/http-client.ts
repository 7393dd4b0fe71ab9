/**
 * Asks a server that the keeper named in the settings: no redirect, little time, few bytes. It may
 * stand in a private network, so addresses are not guarded; for the URLs of strangers there is
 * base/fetch. The environment's proxies are not asked.
 */
import { upstreamInvalid, upstreamUnavailable } from './app-error.js';

export interface HttpRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Ends the wait before the time of a single question is over. */
  signal?: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Those that came once. */
  headers: Record<string, string>;
  text: string;
}

/**
 * Refuses with `upstream_unavailable` when nobody answers, or not in time, and with
 * `upstream_invalid_response` when the answer is too long. Whatever is answered, a redirect or an
 * error too, is for the caller to judge.
 */
export type HttpClient = (url: string, question?: HttpRequest) => Promise<HttpResponse>;

export const RESPONSE_TIMEOUT_MS = 5000;
const NEXT_ADDRESS_DELAY_MS = 1000;
const MAX_BYTES = 64 * 1024;
const TOO_LONG = 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
const NO_HTTP = /^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_CONTENT_LENGTH_MISMATCH)$/;
/** To these a Response may have no body. */
const WITHOUT_BODY = new Set([101, 103, 204, 205, 304]);

export function createHttpClient({ timeoutMs = RESPONSE_TIMEOUT_MS, maxBytes = MAX_BYTES } = {}): HttpClient {
  let client: ReturnType<typeof load> | undefined;

  return async function ask(url, { method = 'GET', headers = {}, body, signal } = {}) {
    client ??= load();
    const { request, dispatcher } = await client;
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    try {
      const answer = await request(url, {
        method: method as 'GET',
        dispatcher,
        signal: AbortSignal.any(signals),
        headers: { ...headers, 'accept-encoding': 'identity' }, // the limit counts what comes over the wire
        ...(body !== undefined && { body }),
      });
      const single = Object.entries(answer.headers).filter(([, value]) => typeof value === 'string');
      return {
        status: answer.statusCode,
        headers: Object.fromEntries(single) as Record<string, string>,
        text: await answer.body.text(),
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
    const rateLimiter = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    // A name with several addresses: by default the next one is tried after a quarter of a second,
    // which a busy process may let pass.
    const connect = { timeout: timeoutMs, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_DELAY_MS };
    return { request, dispatcher: new Agent({ ...rateLimiter, connect }) };
  }
}

/** The same as a fetch, for libraries that want one. */
export function asFetch(ask: HttpClient) {
  return async function fetchNamed(
    url: string,
    {
      method,
      headers,
      body,
      signal,
    }: { method: string; headers: Record<string, string>; body?: unknown; signal?: AbortSignal },
  ): Promise<Response> {
    const question = { method, headers, ...(signal && { signal }), ...(body != null && { body: String(body) }) };
    const answer = await ask(url, question);
    const { status } = answer;
    return new Response(WITHOUT_BODY.has(status) ? null : answer.text, { status, headers: answer.headers });
  };
}
