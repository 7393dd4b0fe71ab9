/** The one way out to URLs that clients gave us: no private address, no redirect, little time, few bytes. */
import { lookup as resolve } from 'node:dns';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { RequestInit, Response } from 'undici';

export interface GuardedFetchOptions {
  /** Hosts (`host` or `host:port`) that may be asked though they are private. */
  privateHosts?: string[];
  /** Lets loopback through: for an issuer that is itself on loopback. */
  allowLoopback?: boolean;
  timeoutMs?: number;
  maxBytes?: number;
}

/** Rejects with a TypeError when the address is not public, the answer too slow or too long. */
export type GuardedFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

type Lookup = typeof resolve;

const TIMEOUT_MS = 5000;
const MAX_BYTES = 64 * 1024;

/**
 * A fetch that is safe to call with a stranger's URL. The address is checked when the socket connects, not before, so that a
 * name which changes its answer in between (DNS rebinding) gains nothing.
 */
export function createGuardedFetch({
  privateHosts = [],
  allowLoopback = false,
  timeoutMs = TIMEOUT_MS,
  maxBytes = MAX_BYTES,
}: GuardedFetchOptions = {}): GuardedFetch {
  let client: Promise<{ fetch: typeof import('undici').fetch; open: object; guarded: object }> | undefined;

  return async function guardedFetch(input, init = {}) {
    const url = new URL(input);
    const exempt = privateHosts.includes(url.hostname) || privateHosts.includes(url.host);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (exempt || allowLoopback))) {
      throw new TypeError(`${url.origin} is not https`);
    }
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (!exempt && isIP(literal)) assertPublic(literal);
    client ??= load();
    const { fetch, open, guarded } = await client;
    const signals = [AbortSignal.timeout(timeoutMs), ...(init.signal ? [init.signal] : [])];
    return fetch(url, {
      ...init,
      redirect: 'error',
      credentials: 'omit',
      signal: AbortSignal.any(signals as AbortSignal[]),
      dispatcher: (exempt ? open : guarded) as never,
    });
  };

  /** Loaded when it is first needed: most installations never fetch anything. */
  async function load() {
    const { Agent, fetch } = await import('undici');
    const limits = { maxResponseSize: maxBytes, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, pipelining: 0 };
    return {
      fetch,
      open: new Agent(limits),
      guarded: new Agent({ ...limits, connect: { lookup: publicLookup as Lookup } }),
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
    const range = ipaddr.process(address).range(); // also unwraps ::ffff:10.0.0.1
    if (range === 'unicast' || (allowLoopback && range === 'loopback')) return;
    throw new TypeError('the host has an address that is not public');
  }
}
