// Measures the throughput of pages and documents that need no database write.
import { measurePage, withServer } from './load.js';
import type { Bench } from './run.js';

const PATHS = ['/healthz', '/login', '/register', '/.well-known/openid-configuration', '/oauth/jwks'];

export const signInPages: Bench = () =>
  withServer(async ({ origin }) => {
    const figures: Record<string, string> = {};
    await measurePage(`${origin}/login`, { seconds: 2 }); // warm
    for (const path of PATHS) {
      const { perSecond, medianMs, p99Ms } = await measurePage(origin + path);
      figures[path] = `${perSecond}/s, median ${medianMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, 16 in flight`;
    }
    return figures;
  });
