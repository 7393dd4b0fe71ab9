/**
 * Fetches URLs that clients provide: no private addresses (SSRF), no redirects, and limits on time
 * and size. No library is used, because DNS rebinding defeats those that check the address before
 * they connect.
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
 * Fetches a URL. Rejects with a `TypeError` for a private address, and with an error of undici for
 * a response that is too slow or too large.
 */
export type SafeFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

type Lookup = typeof resolve;

const TIMEOUT_MS = 5000;
const MAX_RESPONSE_BYTES = 64 * 1024;
/** The allocated global range. Other ranges include obsolete forms such as ::127.0.0.1. */
const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/**
 * Creates a fetch function for untrusted URLs. It checks the address when the socket connects, so
 * that DNS rebinding does not help an attacker.
 */
export function createSafeFetch({
  privateHosts = [],
  allowLoopback = false,
  timeoutMs = TIMEOUT_MS,
  maxBytes = MAX_RESPONSE_BYTES,
}: SafeFetchOptions = {}): SafeFetch {
  let undici: ReturnType<typeof loadUndici> | undefined;

  return async function safeFetch(input, init = {}) {
    const url = new URL(input);
    const isAllowedHost = privateHosts.includes(url.hostname) || privateHosts.includes(url.host);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (isAllowedHost || allowLoopback))) {
      throw new TypeError(`${url.origin} is not https`);
    }
    const hostname = url.hostname.replace(/^\[|\]$/g, '');
    if (!isAllowedHost && isIP(hostname)) requirePublic(hostname); // the socket does not look up an IP address
    undici ??= loadUndici();
    const { fetch, Headers, anyAddressAgent, publicAddressAgent } = await undici;
    const signals = [AbortSignal.timeout(timeoutMs), ...(init.signal ? [init.signal] : [])];
    const headers = new Headers(init.headers);
    headers.set('accept-encoding', 'identity');
    const response = await fetch(url, {
      ...init,
      headers,
      redirect: 'error',
      credentials: 'omit',
      signal: AbortSignal.any(signals as AbortSignal[]),
      dispatcher: (isAllowedHost ? anyAddressAgent : publicAddressAgent) as never,
    });
    // The size limit counts compressed bytes, and decompression could multiply them by a thousand.
    if (/^(?!identity$)./i.test(response.headers.get('content-encoding') ?? '')) {
      await response.body?.cancel();
      throw new TypeError(`${url.origin} sent a compressed response`);
    }
    return response;
  };

  /** Loads undici on first use, because most installations never fetch a URL. */
  async function loadUndici() {
    const { Agent, fetch, Headers } = await import('undici');
    const limits = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    return {
      fetch,
      Headers,
      anyAddressAgent: new Agent(limits),
      publicAddressAgent: new Agent({ ...limits, connect: { lookup: lookupPublic as Lookup } }),
    };
  }

  /** Replaces `dns.lookup`. Fails if any address of the host is not public. */
  function lookupPublic(hostname: string, options: object, done: (error: Error | null, ...result: unknown[]) => void) {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error);
      try {
        for (const { address } of addresses) requirePublic(address);
      } catch (notPublic) {
        return done(notPublic as Error);
      }
      if ((options as { all?: boolean }).all) return done(null, addresses);
      done(null, addresses[0]?.address, addresses[0]?.family);
    });
  }

  function requirePublic(address: string): void {
    const parsed = ipaddr.process(address); // also unwraps ::ffff:10.0.0.1
    const range = parsed.range();
    if (range === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(GLOBAL_IPV6))) return;
    if (allowLoopback && range === 'loopback') return;
    throw new TypeError('the host has an address that is not public');
  }
}
