/**
 * A fetch for URLs from clients: no private addresses (SSRF), no redirects, and limits on time and
 * size. Libraries check the address before connecting, which DNS rebinding defeats.
 */
import { lookup as resolve } from 'node:dns';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { RequestInit, Response } from 'undici';

export interface SafeFetchOptions {
  /** Hosts (`host` or `host:port`) that are allowed although they are private. */
  privateHosts?: string[];
  /** Allows loopback addresses, for an issuer on loopback. */
  allowLoopback?: boolean;
  timeoutMs?: number;
  maxBytes?: number;
}

/**
 * Fetches a URL. Rejects with a `TypeError` for a private address, and for a response that is too
 * slow or too large.
 */
export type SafeFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

type Lookup = typeof resolve;

const TIMEOUT_MS = 5000;
const MAX_BYTES = 64 * 1024;
/** The allocated part of IPv6. Other ranges contain relics such as ::127.0.0.1. */
const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/**
 * Creates a fetch for untrusted URLs. The address is checked when the socket connects, not before,
 * so that DNS rebinding gains nothing.
 */
export function createSafeFetch({
  privateHosts = [],
  allowLoopback = false,
  timeoutMs = TIMEOUT_MS,
  maxBytes = MAX_BYTES,
}: SafeFetchOptions = {}): SafeFetch {
  let client: ReturnType<typeof load> | undefined;

  return async function safeFetch(input, init = {}) {
    const url = new URL(input);
    const exempt = privateHosts.includes(url.hostname) || privateHosts.includes(url.host);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (exempt || allowLoopback))) {
      throw new TypeError(`${url.origin} is not https`);
    }
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (!exempt && isIP(literal)) assertPublic(literal);
    client ??= load();
    const { fetch, Headers, open, guarded } = await client;
    const signals = [AbortSignal.timeout(timeoutMs), ...(init.signal ? [init.signal] : [])];
    const headers = new Headers(init.headers);
    headers.set('accept-encoding', 'identity');
    const response = await fetch(url, {
      ...init,
      headers,
      redirect: 'error',
      credentials: 'omit',
      signal: AbortSignal.any(signals as AbortSignal[]),
      dispatcher: (exempt ? open : guarded) as never,
    });
    // The limit counts what comes over the wire: a packed body could grow a thousand times behind
    // it.
    if (/^(?!identity$)./i.test(response.headers.get('content-encoding') ?? '')) {
      await response.body?.cancel();
      throw new TypeError(`${url.origin} answered with a packed body`);
    }
    return response;
  };

  /** Loaded on first use: most installations never fetch a URL. */
  async function load() {
    const { Agent, fetch, Headers } = await import('undici');
    const rateLimiter = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    return {
      fetch,
      Headers,
      open: new Agent(rateLimiter),
      guarded: new Agent({ ...rateLimiter, connect: { lookup: publicLookup as Lookup } }),
    };
  }

  function publicLookup(hostname: string, options: object, done: (error: Error | null, ...found: unknown[]) => void) {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error);
      try {
        for (const { address } of addresses) assertPublic(address);
      } catch (refusal) {
        return done(refusal as Error);
      }
      if ((options as { all?: boolean }).all) return done(null, addresses);
      done(null, addresses[0]?.address, addresses[0]?.family);
    });
  }

  function assertPublic(address: string): void {
    const parsed = ipaddr.process(address); // also unwraps ::ffff:10.0.0.1
    const range = parsed.range();
    if (range === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(GLOBAL_IPV6))) return;
    if (allowLoopback && range === 'loopback') return;
    throw new TypeError('the host has an address that is not public');
  }
}
