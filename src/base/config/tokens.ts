/** Lifetimes of tokens, sessions, API keys and signing keys, and the names of cookies. */

import { DAY_SECONDS } from '../clock.js';
import { defineTopic } from './base-config.js';
import { duration, string } from './setting.js';

const COOKIE_NAME = /^[\w-]{1,40}$/;

/**
 * The time after which a consumed refresh token is deleted. Until then, its reuse is detected;
 * later, it is rejected as unknown. It is shorter than the lifetime of refresh tokens, so that busy
 * clients do not accumulate rows. A retry needs the row, so the reuse interval cannot be longer.
 */
export const CONSUMED_TOKEN_TTL_SECONDS = DAY_SECONDS;

/**
 * The time after which expired sessions are deleted. Until then, users see them in their history,
 * and their IP addresses count as known.
 */
export const EXPIRED_SESSION_TTL_SECONDS = 90 * DAY_SECONDS;

export const tokens = defineTopic({
  title: 'Tokens, sessions and cookies',
  settings: {
    accessTokenSeconds: duration('ACCESS_TOKEN_TTL', '8h', 'Lifetime of access tokens.'),
    cookieAccessSeconds: duration('COOKIE_ACCESS_TTL', '15m', 'Lifetime of access tokens in cookies of the JSON API.'),
    toolsTokenSeconds: duration(
      'TOOLS_TOKEN_TTL',
      '7d',
      'Lifetime of tokens of POST /api/token and of the cookie of POST /api/login.',
    ),
    apiKeySeconds: duration('API_KEY_TTL', '90d', 'Lifetime of API keys that are created without an expiry.'),
    refreshTokenSeconds: duration('REFRESH_TOKEN_TTL', '7d', 'Lifetime of a refresh token that is not used.'),
    refreshReuseSeconds: duration(
      'REFRESH_TOKEN_REUSE_INTERVAL',
      '10s',
      'Time in which a rotated refresh token can be retried while its successor is unused, at most 1d. 0s: never.',
      { zero: true },
    ),
    sessionSeconds: duration('SESSION_TTL', '14d', 'Time after which an unused browser session expires.'),
    sessionMaxSeconds: duration('SESSION_MAX', '30d', 'Maximum lifetime of a session and of its refresh tokens.'),
    keyRotationSeconds: duration('KEY_ROTATION', '90d', 'Age at which a signing key is replaced by a new one.'),
    apiCookiePrefix: string(
      'API_COOKIE_PREFIX',
      'cap',
      'The cookies of the JSON API are <prefix>_access, <prefix>_refresh and <prefix>_csrf.',
    ),
    toolsCookie: string('TOOLS_COOKIE', 'tools_session', 'Name of the cookie of POST /api/login.'),
  },
  resolve: (values) => values,
  check({ apiCookiePrefix: prefix, toolsCookie, refreshReuseSeconds }) {
    const apiCookies = ['access', 'refresh', 'csrf'].map((suffix) => `${prefix}_${suffix}`);
    return [
      refreshReuseSeconds > CONSUMED_TOKEN_TTL_SECONDS &&
        'REFRESH_TOKEN_REUSE_INTERVAL must be at most 1d: later, consumed refresh tokens are deleted',
      !COOKIE_NAME.test(prefix) && 'API_COOKIE_PREFIX is not a cookie name; allowed: letters, digits, - and _',
      prefix === 'signet' && 'API_COOKIE_PREFIX must not be signet: the cookies of the pages use this prefix',
      (!COOKIE_NAME.test(toolsCookie) || apiCookies.includes(toolsCookie) || toolsCookie.startsWith('signet_')) &&
        'TOOLS_COOKIE is not a cookie name, or is the name of another cookie; allowed: letters, digits, - and _',
    ];
  },
});
