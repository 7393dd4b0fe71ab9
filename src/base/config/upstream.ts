/**
 * Settings of proxy login, by which users sign in here with the password of their account at
 * another server.
 */
import { isLoopback, isSecureUrl } from '../../kit/loopback.js';
import { defineTopic } from './base-config.js';
import { optional, string } from './setting.js';

export interface UpstreamConfig {
  /**
   * The base URL, without a trailing slash. It is also the issuer of the identities, whose subject
   * is the id of the account at the upstream provider.
   */
  url: string;
  loginPath: string;
  profilePath: string;
}

const PATH = /^\/[\w.~%/-]*$/;

export const upstream = defineTopic({
  title: 'Proxy login',
  settings: {
    url: optional(
      'UPSTREAM_AUTH_URL',
      'URL of the provider whose accounts can sign in by proxy login, such as https://auth.example.com. ' +
        "If that server also runs Signet, add this server's IP address to its TRUSTED_PROXIES. Otherwise all users share one rate limit there.",
    ),
    loginPath: string(
      'UPSTREAM_LOGIN_PATH',
      '/api/v1/auth/login-json',
      'Path of its endpoint that accepts e-mail address and password as JSON.',
    ),
    profilePath: string(
      'UPSTREAM_PROFILE_PATH',
      '/api/v1/auth/me',
      'Path of its endpoint that returns the user of a token.',
    ),
  },
  resolve: ({ url, ...paths }): { upstream: UpstreamConfig | undefined } => ({
    upstream: url ? { url: (URL.parse(url)?.href ?? url).replace(/\/+$/, ''), ...paths } : undefined,
  }),
  check({ url: text, loginPath, profilePath }, { issuer }) {
    if (!text) return [];
    const [url, ownUrl] = [URL.parse(text), URL.parse(issuer)];
    return [
      (!url || !isSecureUrl(url) || /[?#@]/.test(text)) &&
        'UPSTREAM_AUTH_URL is not valid; allowed: https://auth.example.com, or http:// on a loopback address',
      url !== null &&
        ownUrl !== null &&
        isSameServer(url, ownUrl) &&
        'UPSTREAM_AUTH_URL is our own ISSUER; allowed: the URL of another provider',
      !PATH.test(loginPath) && 'UPSTREAM_LOGIN_PATH is not a path; allowed: a path such as /api/v1/auth/login',
      !PATH.test(profilePath) && 'UPSTREAM_PROFILE_PATH is not a path; allowed: a path such as /api/v1/auth/me',
    ];
  },
});

/** Compares hosts and ports. Treats all loopback names as the same host. */
const isSameServer = (a: URL, b: URL) =>
  a.port === b.port && (a.hostname === b.hostname || (isLoopback(a.hostname) && isLoopback(b.hostname)));
