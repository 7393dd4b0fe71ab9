/** Devices: by what one is recognised when it comes again, and what a person calls it. */

import { sha256 } from '../../base/crypto.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { SecurityEvent } from '../../base/mail/templates.js';
import type { RequestMeta } from '../request-meta.js';

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrom(e|ium)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
  [/curl\//, 'curl'],
];
const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
];

/**
 * A browser by the cookie that it keeps, a program by its name and network. Another one for each
 * account, so that the store does not tell whose accounts belong together.
 */
export function deviceHash(accountId: string, { device, userAgent, address }: RequestMeta): string {
  return sha256(`${accountId} ${device ?? `${userAgent} ${rateLimitKey(address)}`}`);
}

/**
 * "Firefox on Linux", from a User-Agent; a guess that is good enough to recognise one's own device.
 */
export function describeDevice(userAgent: string | null): string {
  const find = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? 'Unknown device';
}

const SECURITY_EVENT_TIME = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'long',
  timeStyle: 'short',
  timeZone: 'UTC',
});

/** What a mail tells of who did something, in words. */
export function describeSecurityEvent({ userAgent, address }: RequestMeta, at: Date): SecurityEvent {
  return {
    device: describeDevice(userAgent),
    address: address || 'unknown',
    at: `${SECURITY_EVENT_TIME.format(at)} UTC`,
  };
}
