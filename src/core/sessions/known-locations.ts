/**
 * Places from which somebody signed in to an account before, which no stranger has: a browser, by
 * its cookie, or an address.
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
   * What the caller's place is called, if the account was signed in to from there.
   *
   * @param factorSince when the second factor was set up: logins that ended before it, or by it,
   *   do not count
   */
  async function find(accountId: string, meta: RequestMeta, factorSince?: Date): Promise<string | undefined> {
    const where = {
      accountId,
      createdAt: { gt: addSeconds(clock.now(), -KNOWN_LOCATION_SECONDS) },
      ...(factorSince && { OR: [{ createdAt: { gt: factorSince } }, ...outlived(factorSince)] }),
    };
    const isKnown = async (more: { deviceHash: string } | { address: string }) =>
      (await db.session.findFirst({ where: { ...where, ...more }, select: { id: true } })) !== null;
    const browser = meta.device && deviceHash(accountId, meta);
    if (browser && (await isKnown({ deviceHash: browser }))) return browser;
    const from = rateLimitKey(meta.address);
    if (await isKnown({ address: meta.address })) return from;
    if (from === meta.address) return undefined; // else it is one of a whole network
    const known = await db.session.findMany({ where, select: { address: true }, distinct: ['address'] });
    return known.some(({ address }) => rateLimitKey(address ?? '') === from) ? from : undefined;
  }
}

/** What set the second factor up is there still, or was for a while. */
const outlived = (moment: Date) => [
  { expiresAt: { gt: moment }, endedAt: null },
  { expiresAt: { gt: moment }, endedAt: { gt: moment }, endReason: { not: 'factors_changed' } },
];
