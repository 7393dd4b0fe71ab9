/**
 * Recognizes devices (by cookie) and IP addresses from which the account has signed in before.
 */

import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { RequestMeta } from '../request-meta.js';
import { deviceHash } from './devices.js';

const KNOWN_LOCATION_SECONDS = 90 * DAY_SECONDS;

export type KnownLocations = ReturnType<typeof createKnownLocations>;

export function createKnownLocations({ db, clock }: { db: Database; clock: Clock }) {
  return { find };

  /**
   * Returns the key of the request's location (a device hash or an address) if the account has
   * signed in from there, and undefined otherwise.
   *
   * @param mfaSince when the second factor was set up. Sessions that ended before, or because of
   *   it, do not count: a password alone was enough for them.
   */
  async function find(accountId: string, meta: RequestMeta, mfaSince?: Date): Promise<string | undefined> {
    const where = {
      accountId,
      createdAt: { gt: addSeconds(clock.now(), -KNOWN_LOCATION_SECONDS) },
      ...(mfaSince && { OR: [{ createdAt: { gt: mfaSince } }, ...outlived(mfaSince)] }),
    };
    const isKnown = async (more: { deviceHash: string } | { address: string }) =>
      (await db.session.findFirst({ where: { ...where, ...more }, select: { id: true } })) !== null;
    const browser = meta.device && deviceHash(accountId, meta);
    if (browser && (await isKnown({ deviceHash: browser }))) return browser;
    const from = rateLimitKey(meta.address);
    if (await isKnown({ address: meta.address })) return from;
    if (from === meta.address) return undefined; // otherwise it stands for an IPv6 network
    const known = await db.session.findMany({ where, select: { address: true }, distinct: ['address'] });
    return known.some(({ address }) => rateLimitKey(address ?? '') === from) ? from : undefined;
  }
}

/**
 * The conditions for sessions that stayed active after `moment`, such as the one that set it up.
 */
const outlived = (moment: Date) => [
  { expiresAt: { gt: moment }, endedAt: null },
  { expiresAt: { gt: moment }, endedAt: { gt: moment }, endReason: { not: 'mfa_changed' } },
];
