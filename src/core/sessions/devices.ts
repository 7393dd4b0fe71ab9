/** Devices: by what one is recognised when it comes again, and what a person calls it. */

import { sha256 } from '../../base/crypto.js';
import { addressKey } from '../../base/ip-address.js';
import type { Happening } from '../../base/mail/templates.js';
import type { Caller } from '../request-meta.js';

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
 * A browser by the cookie that it keeps, a program by its name and network. Another one for each account, so that the store does
 * not tell whose accounts belong together.
 */
export function deviceHash(accountId: string, { device, userAgent, address }: Caller): string {
  return sha256(`${accountId} ${device ?? `${userAgent} ${addressKey(address)}`}`);
}

/** "Firefox on Linux", from a User-Agent; a guess that is good enough to recognise one's own device. */
export function describeDevice(userAgent: string | null): string {
  const find = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? 'Unknown device';
}

const MOMENT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });

/** What a mail tells of who did something, in words. */
export function describeHappening({ userAgent, address }: Caller, at: Date): Happening {
  return { device: describeDevice(userAgent), address: address || 'unknown', at: `${MOMENT.format(at)} UTC` };
}
