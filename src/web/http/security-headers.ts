/**
 * Security headers: one set for pages, a short one for APIs. The pipeline applies them before any
 * handler runs, so that every response has them.
 */
import type { ServerResponse } from 'node:http';
import type { Context, Next } from 'koa';
import { isApiPath } from './api-paths.js';

const HSTS_SECONDS = 31_536_000;
const CSP = 'Content-Security-Policy';
const COOP = 'Cross-Origin-Opener-Policy';
const CORP = 'Cross-Origin-Resource-Policy';

const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'none'",
  // No scripts. oidc-provider adds the hash of its own script for `response_mode=form_post` here.
  // An empty list means 'none', but browsers warn about 'none' next to a hash.
  'script-src',
  "base-uri 'none'",
  "frame-ancestors 'none'",
  // Chromium applies this to every redirect after a form. So a form that leads to another site is
  // answered with a page: pages/form-navigation.ts.
  "form-action 'self'",
].join('; ');

/** Browser features that pages do not use. */
const DISABLED_FEATURES = [
  'accelerometer',
  'autoplay',
  'browsing-topics',
  'camera',
  'display-capture',
  'encrypted-media',
  'fullscreen',
  'geolocation',
  'gyroscope',
  'hid',
  'identity-credentials-get',
  'idle-detection',
  'magnetometer',
  'microphone',
  'midi',
  'payment',
  'picture-in-picture',
  'publickey-credentials-create',
  'publickey-credentials-get',
  'screen-wake-lock',
  'serial',
  'sync-xhr',
  'usb',
  'xr-spatial-tracking',
];

export type SecurityHeaders = ReturnType<typeof createSecurityHeaders>;

export function createSecurityHeaders({ issuer }: { issuer: string }) {
  const [forPages, forApis] = [pageHeaders(issuer), apiHeaders(issuer)];
  const headersFor = (path: string) => (isApiPath(path) ? forApis : forPages);

  return { apply, keepOnError };

  /** Sets the headers for this path. */
  function apply(path: string, res: ServerResponse): void {
    const headers = headersFor(path);
    for (const name in headers) res.setHeader(name, headers[name]!); // faster than Koa's ctx.set
  }

  /** Restores the headers when a handler throws: Koa removes all headers of a failed response. */
  async function keepOnError(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
    } catch (error) {
      if (error instanceof Error) {
        const withHeaders = error as Error & { headers?: Record<string, string> };
        withHeaders.headers = { ...headersFor(ctx.path), ...withHeaders.headers };
      }
      throw error;
    }
  }
}

/** Allows the form of this page to lead to any site, for `response_mode=form_post`. */
export function allowAnyFormTarget(ctx: {
  response: { get(name: string): string };
  set(name: string, value: string): void;
}): void {
  const directives = ctx.response.get(CSP).split(/;\s*/);
  ctx.set(CSP, directives.filter((directive) => !directive.startsWith('form-action ')).join('; '));
}

/** Allows our own scripts on this page, and their requests to our own origin. No inline scripts. */
export function allowOwnScripts(ctx: Context): void {
  const policy = ctx.response.get(CSP).replace(/(^|; )script-src(?=;|$)/, "$1script-src 'self'; connect-src 'self'");
  ctx.set(CSP, policy);
}

/**
 * Keeps `window.opener`, for an app that opens the sign-in in a popup. The app needs this header on
 * every response, including redirects: a single response without it removes the opener.
 */
export function keepOpener(ctx: Context): void {
  ctx.set(COOP, 'unsafe-none');
}

/** Returns the headers of every API response. They exclude those that only pages need. */
function apiHeaders(issuer: string): Record<string, string> {
  const headers: Record<string, string> = {
    [CSP]: "default-src 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    // Most responses concern one user. The few that can be cached override this.
    'Cache-Control': 'no-store',
  };
  if (issuer.startsWith('https:')) headers['Strict-Transport-Security'] = `max-age=${HSTS_SECONDS}; includeSubDomains`;
  return headers;
}

function pageHeaders(issuer: string): Record<string, string> {
  return {
    ...apiHeaders(issuer),
    [CSP]: PAGE_POLICY,
    [COOP]: 'same-origin',
    [CORP]: 'same-origin',
    'Permissions-Policy': DISABLED_FEATURES.map((feature) => `${feature}=()`).join(', '),
    'X-Robots-Tag': 'noindex',
  };
}
