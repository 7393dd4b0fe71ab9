/** Differences between runtimes. */

/**
 * Reports whether a request can wait for a fetch that another request started. On Cloudflare
 * Workers and Vercel's edge runtime, it cannot. They cancel a fetch when its request ends. Other
 * requests that wait for this fetch never continue.
 */
export function canShareRequests(): boolean {
  const { navigator, EdgeRuntime } = globalThis as { navigator?: { userAgent?: string }; EdgeRuntime?: unknown };
  return navigator?.userAgent !== 'Cloudflare-Workers' && EdgeRuntime === undefined;
}
