/** What is not the same on every runtime. */

/**
 * Whether a request may wait for an answer that another one asked for. On Cloudflare's Workers and
 * on Vercel's edge it may not: what a request asked ends with it, also when its client hung up, and
 * whoever else waits for that would wait for ever.
 */
export function canShareRequests(): boolean {
  const { navigator, EdgeRuntime } = globalThis as { navigator?: { userAgent?: string }; EdgeRuntime?: unknown };
  return navigator?.userAgent !== 'Cloudflare-Workers' && EdgeRuntime === undefined;
}
