/** Recognizes devices and describes them to their users. */

import { sha256 } from '../../base/crypto.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { SecurityEvent } from '../../base/mail/templates.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { formatUtcTime } from '../../base/utc-time.js';

/** The first match counts: user agents of Edge and Opera also name Chrome and Safari. */
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
 * Returns the hash that identifies a device: a browser by its device cookie, a program by its user
 * agent and network. It differs for each account, so that the database does not reveal which
 * accounts share a device.
 */
export function deviceHash(accountId: string, { device, userAgent, address }: RequestMeta): string {
  return sha256(`${accountId} ${device ?? `${userAgent} ${rateLimitKey(address)}`}`);
}

/** Describes a `User-Agent` for its user, such as "Firefox on Linux". */
export function describeDevice(userAgent: string | null): string {
  const firstMatch = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1];
  const [browser, system] = [firstMatch(BROWSERS), firstMatch(SYSTEMS)];
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? 'Unknown device';
}

/** Returns the device, IP address and time of a security event for an e-mail. */
export function describeSecurityEvent({ userAgent, address }: RequestMeta, at: Date): SecurityEvent {
  return {
    device: describeDevice(userAgent),
    address: address || 'unknown',
    at: formatUtcTime(at),
  };
}
