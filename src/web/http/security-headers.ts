/**
 * The headers that keep a browser from doing with our answers what we did not mean. They are set
 * before anything else runs, so that they are there whoever answers: a page, the OAuth provider, or
 * a failure.
 */
import type { ServerResponse } from 'node:http';
import type { Context, Next } from 'koa';
import { isLoopback } from '../../base/loopback.js';
import { isApiPath } from './api-paths.js';

const HSTS_SECONDS = 31_536_000;
const CSP = 'Content-Security-Policy';
const COOP = 'Cross-Origin-Opener-Policy';
const CORP = 'Cross-Origin-Resource-Policy';

/**
 * Chrome holds the redirects that follow a form against `form-action` as well, and after signing in
 * or consenting they end at a client's redirect URI. So every place where one may be is listed, but
 * for private-use schemes and the other addresses of this machine: those are added to the pages
 * that need them, by `allowFormTarget`.
 */
const FORM_TARGETS = ["'self'", 'https:', 'http://localhost:*', 'http://127.0.0.1:*'];

const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'none'",
  // No script at all; the provider's own page that posts an answer to a client adds the hash of its
  // script here. Without 'none', which means the same but beside a hash makes browsers complain.
  'script-src',
  "base-uri 'none'",
  "frame-ancestors 'none'",
  `form-action ${FORM_TARGETS.join(' ')}`,
].join('; ');

const FEATURES = [
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

/** Sets the headers that belong to this path, and tells them. */
export type ApplySecurityHeaders = (path: string, res: ServerResponse) => Record<string, string>;

export function createApplySecurityHeaders({ issuer }: { issuer: string }): ApplySecurityHeaders {
  const [forPages, forPrograms] = [pageHeaders(issuer), programHeaders(issuer)];

  return function applySecurityHeaders(path, res) {
    const headers = isApiPath(path) ? forPrograms : forPages;
    for (const name in headers) res.setHeader(name, headers[name]!); // Koa's ctx.set would look at each value first
    return headers;
  };
}

export function securityHeaders(dress: ApplySecurityHeaders) {
  return async function setSecurityHeaders(ctx: Context, next: Next): Promise<void> {
    const headers = dress(ctx.path, ctx.res);
    try {
      await next();
    } catch (error) {
      // Koa forgets every header of an answer that failed, but for those that the error brings
      // along.
      if (error instanceof Error) {
        const failed = error as Error & { headers?: Record<string, string> };
        failed.headers = { ...headers, ...failed.headers };
      }
      throw error;
    }
  };
}

/** Lets the forms of the page that is being answered lead to this redirect URI in the end. */
export function allowFormRedirect(ctx: Context, redirectUri: string): void {
  allowFormTarget(ctx, formTarget(redirectUri));
}

/** The same for what `formTarget` says of it. */
export function allowFormTarget(ctx: Context, source: string | undefined): void {
  const policy = ctx.response.get(CSP);
  if (!source || !policy) return;
  const directives = policy.split(/;\s*/).map((directive) => {
    const isAllowed = !directive.startsWith('form-action ') || directive.split(' ').includes(source);
    return isAllowed ? directive : `${directive} ${source}`;
  });
  ctx.set(CSP, directives.join('; '));
}

/**
 * Lets the page that is being answered run our own scripts, and lets those ask our own origin.
 * Nothing inline, nobody else.
 */
export function allowOwnScripts(ctx: Context): void {
  const policy = ctx.response.get(CSP).replace(/(^|; )script-src(?=;|$)/, "$1script-src 'self'; connect-src 'self'");
  ctx.set(CSP, policy);
}

/**
 * Leaves the page that opened this window its handle on it. An app that signs people in in a popup
 * needs that on every step of the way, redirects included: one answer without it cuts the popup off
 * for good.
 */
export function keepOpener(ctx: Context): void {
  ctx.set(COOP, 'unsafe-none');
}

/**
 * What the policy of a page must name so that its forms can lead to this redirect URI. Nothing for
 * what it names already, and for what is not a URI that a form could lead to.
 */
export function formTarget(redirectUri: string): string | undefined {
  if (!URL.canParse(redirectUri)) return undefined;
  const { protocol, hostname } = new URL(redirectUri);
  if (protocol === 'https:' || ['javascript:', 'data:', 'blob:', 'about:', 'file:'].includes(protocol))
    return undefined;
  if (protocol !== 'http:') return protocol;
  // A policy has no way to name an IPv6 host, nor any IPv4 one but 127.0.0.1, so these pages have
  // to allow the scheme.
  return isLoopback(hostname) && !['localhost', '127.0.0.1'].includes(hostname) ? 'http:' : undefined;
}

/**
 * What every answer has. These go with each of them, many times a second: nothing here that only a
 * page needs.
 */
function programHeaders(issuer: string): Record<string, string> {
  const headers: Record<string, string> = {
    [CSP]: "default-src 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    // Most answers tell of one person; the few that may be kept say so themselves.
    'Cache-Control': 'no-store',
  };
  if (issuer.startsWith('https:')) headers['Strict-Transport-Security'] = `max-age=${HSTS_SECONDS}; includeSubDomains`;
  return headers;
}

function pageHeaders(issuer: string): Record<string, string> {
  return {
    ...programHeaders(issuer),
    [CSP]: POLICY,
    [COOP]: 'same-origin',
    [CORP]: 'same-origin',
    'Permissions-Policy': FEATURES.map((feature) => `${feature}=()`).join(', '),
    'X-Robots-Tag': 'noindex',
  };
}
