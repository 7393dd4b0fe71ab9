/** Differences between runtimes. */

/**
 * Reports whether a request can wait for a fetch that another request started. On Cloudflare
 * Workers and Vercel's edge runtime it cannot: a fetch is cancelled when its request ends, and
 * other requests that wait for it never continue.
 */
export function canShareRequests(): boolean {
  const { navigator, EdgeRuntime } = globalThis as { navigator?: { userAgent?: string }; EdgeRuntime?: unknown };
  return navigator?.userAgent !== 'Cloudflare-Workers' && EdgeRuntime === undefined;
}
