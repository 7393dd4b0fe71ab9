/** Signet, as a service sees it: its discovery document, and how it is asked. */
import { IssuerUnavailable } from './refusal.js';

export interface IssuerOptions {
  /** As Signet writes itself: `ISSUER`, without a path. */
  issuer: string;
  fetch?: typeof fetch;
  now?: () => number;
}

const TIMEOUT_MS = 5000;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * A URL whose answers can be believed, and that secrets may go to: https, or on this machine.
 * Throws a TypeError for another.
 */
export function secureUrl(url: string): string {
  const { protocol, hostname, origin } = new URL(url);
  if (protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.test(hostname))) {
    throw new TypeError(`${url} must be https, or on this machine`);
  }
  return url === `${origin}/` ? origin : url; // as Signet writes its issuer
}

/**
 * A JSON object that the issuer answers with. Rejects with IssuerUnavailable for any other answer.
 */
export async function readDocument(url: string, ask: typeof fetch): Promise<Record<string, unknown>> {
  try {
    const response = await ask(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body: unknown = response.status === 200 ? await response.json() : undefined;
    if (typeof body === 'object' && body !== null) return body as Record<string, unknown>;
    throw new Error(`it answers ${response.status}, or no JSON`);
  } catch (cause) {
    throw new IssuerUnavailable(`${url} cannot be read`, { cause });
  }
}

/** Its discovery document (RFC 8414), if it is its own. */
export async function discover({ issuer, fetch: ask = fetch }: IssuerOptions): Promise<Record<string, unknown>> {
  const document = await readDocument(`${issuer}/.well-known/openid-configuration`, ask);
  if (document.issuer !== issuer) throw new IssuerUnavailable(`${issuer} calls itself ${String(document.issuer)}`);
  return document;
}
