/** The provider whose accounts may sign in here by proxy login, as the settings name it. */
import { isLoopback, isSecureUrl } from '../loopback.js';
import { failedRules, type Rule } from './rules.js';

export interface UpstreamConfig {
  /** Without a slash at its end. Its accounts are known by this and their id there. */
  url: string;
  loginPath: string;
  profilePath: string;
}

export interface UpstreamSettings {
  UPSTREAM_AUTH_URL: string;
  UPSTREAM_LOGIN_PATH: string;
  UPSTREAM_PROFILE_PATH: string;
}

const PATH = /^\/[\w.~%/-]*$/;

/** Never throws: what cannot be used is told by `upstreamErrors`. */
export function upstreamOf(settings: UpstreamSettings): UpstreamConfig | undefined {
  const { UPSTREAM_AUTH_URL: url, UPSTREAM_LOGIN_PATH: loginPath, UPSTREAM_PROFILE_PATH: profilePath } = settings;
  return url ? { url: (URL.parse(url)?.href ?? url).replace(/\/+$/, ''), loginPath, profilePath } : undefined;
}

/** What is wrong with it, a sentence each. */
export function upstreamErrors(upstream: UpstreamConfig | undefined, ownIssuer: string): string[] {
  if (!upstream) return [];
  const [url, own] = [URL.parse(upstream.url), URL.parse(ownIssuer)];
  const rules: Rule[] = [
    [
      url === null || !isSecureUrl(url) || /[?#@]/.test(upstream.url),
      'UPSTREAM_AUTH_URL is not usable; allowed: https://auth.example.com, or http:// on this machine',
    ],
    [
      url !== null && own !== null && isSamePlace(url, own),
      'UPSTREAM_AUTH_URL is our own ISSUER; allowed: the address of another provider',
    ],
    [!PATH.test(upstream.loginPath), 'UPSTREAM_LOGIN_PATH is no path; allowed: /api/v1/auth/login and the like'],
    [!PATH.test(upstream.profilePath), 'UPSTREAM_PROFILE_PATH is no path; allowed: /api/v1/auth/me and the like'],
  ];
  return failedRules(rules);
}

/** This machine has several names. */
const isSamePlace = (a: URL, b: URL) =>
  a.port === b.port && (a.hostname === b.hostname || (isLoopback(a.hostname) && isLoopback(b.hostname)));
