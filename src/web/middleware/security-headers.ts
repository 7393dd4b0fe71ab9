// The headers that keep a browser from doing with our answers what we did not mean. They are set before anything
// else runs, so that they are there whoever answers: a page, the OAuth provider, or a failure.

import type { Context, Next } from 'koa';

const HSTS_SECONDS = 31_536_000;
const CSP = 'Content-Security-Policy';
const COOP = 'Cross-Origin-Opener-Policy';
const CORP = 'Cross-Origin-Resource-Policy';

/**
 * Chrome holds the redirects that follow a form against `form-action` as well, and after signing in or consenting they
 * end at a client's redirect URI. So every place where one may be is listed, but for private-use schemes and `[::1]`:
 * those are added to the one page that needs them, by `allowFormRedirect`.
 */
const FORM_TARGETS = ["'self'", 'https:', 'http://localhost:*', 'http://127.0.0.1:*'];

const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'none'",
  // The provider's own page that posts an answer to a client adds the hash of its script here.
  "script-src 'none'",
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

/** What programs in other origins read: discovery, keys, tokens and the API. Pages and files are for our own origin. */
const FOR_OTHER_ORIGINS = /^\/(?:\.well-known|oauth|api)\//;

export function securityHeaders({ issuer }: { issuer: string }) {
  const headers = headersFor(issuer);

  return async function setSecurityHeaders(ctx: Context, next: Next): Promise<void> {
    ctx.set(headers);
    if (FOR_OTHER_ORIGINS.test(ctx.path)) ctx.remove(CORP);
    try {
      await next();
    } catch (error) {
      // Koa forgets every header of an answer that failed, but for those that the error brings along.
      if (error instanceof Error) {
        const failed = error as Error & { headers?: Record<string, string> };
        failed.headers = { ...headers, ...failed.headers };
      }
      throw error;
    }
  };
}

/**
 * Lets the forms of the page that is being answered lead to this redirect URI in the end. Does nothing for what the
 * policy allows already, and for what is not a URI that a form could lead to.
 */
export function allowFormRedirect(ctx: Context, redirectUri: string): void {
  const source = formTarget(redirectUri);
  const policy = ctx.response.get(CSP);
  if (!source || !policy) return;
  const directives = policy.split(/;\s*/).map((directive) => {
    const isAllowed = !directive.startsWith('form-action ') || directive.split(' ').includes(source);
    return isAllowed ? directive : `${directive} ${source}`;
  });
  ctx.set(CSP, directives.join('; '));
}

/**
 * Leaves the page that opened this window its handle on it. An app that signs people in in a popup needs that on every
 * step of the way, redirects included: one answer without it cuts the popup off for good.
 */
export function keepOpener(ctx: Context): void {
  ctx.set(COOP, 'unsafe-none');
}

function formTarget(redirectUri: string): string | undefined {
  if (!URL.canParse(redirectUri)) return undefined;
  const { protocol, hostname } = new URL(redirectUri);
  if (protocol === 'https:' || ['javascript:', 'data:', 'blob:', 'about:', 'file:'].includes(protocol))
    return undefined;
  if (protocol !== 'http:') return protocol;
  // A policy has no way to name an IPv6 host, so this one page has to allow the scheme.
  return hostname === '[::1]' ? 'http:' : undefined;
}

function headersFor(issuer: string): Record<string, string> {
  const headers: Record<string, string> = {
    [CSP]: POLICY,
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    [COOP]: 'same-origin',
    [CORP]: 'same-origin',
    'Permissions-Policy': FEATURES.map((feature) => `${feature}=()`).join(', '),
    'X-Robots-Tag': 'noindex',
    // Most answers tell of one person; the few that may be kept say so themselves.
    'Cache-Control': 'no-store',
  };
  if (issuer.startsWith('https:')) headers['Strict-Transport-Security'] = `max-age=${HSTS_SECONDS}; includeSubDomains`;
  return headers;
}
