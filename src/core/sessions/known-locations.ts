/**
 * Recognizes devices (by cookie) and IP addresses from which the account has signed in before.
 */

import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Database, Prisma } from '../../base/db/open.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { deviceHash } from './devices.js';

const KNOWN_LOCATION_SECONDS = 90 * DAY_SECONDS;
/** The latest sessions whose networks are compared. */
const MAX_COMPARED_SESSIONS = 500;

export type KnownLocations = ReturnType<typeof createKnownLocations>;

export function createKnownLocations({ db, clock }: { db: Database; clock: Clock }) {
  return { find, isKnownDevice };

  /**
   * Returns the key of the request's location (a device hash or an IP address) if the account has
   * signed in from this location. Returns undefined otherwise.
   *
   * @param mfaSince when the second factor was set up. Sessions that ended before the
   *   setup, or because of it, do not count: they needed only a password.
   */
  async function find(accountId: string, meta: RequestMeta, mfaSince?: Date): Promise<string | undefined> {
    const where = {
      accountId,
      createdAt: { gt: addSeconds(clock.now(), -KNOWN_LOCATION_SECONDS) },
      ...(mfaSince && { OR: [{ createdAt: { gt: mfaSince } }, ...activeAfter(mfaSince)] }),
    };
    const isKnown = (location: { deviceHash: string } | { address: string }) => hasSession({ ...where, ...location });
    const deviceKey = meta.device && deviceHash(accountId, meta);
    if (deviceKey && (await isKnown({ deviceHash: deviceKey }))) return deviceKey;
    const networkKey = rateLimitKey(meta.address);
    if (await isKnown({ address: meta.address })) return networkKey;
    // IPv4 addresses are their own keys. The key of an IPv6 address is its network.
    if (networkKey === meta.address) return undefined;
    const sessions = await db.session.findMany({
      where,
      select: { address: true },
      orderBy: { createdAt: 'desc' },
      take: MAX_COMPARED_SESSIONS,
    });
    return sessions.some(({ address }) => rateLimitKey(address ?? '') === networkKey) ? networkKey : undefined;
  }

  /** Reports whether the account has signed in from this browser before, by its device cookie. */
  async function isKnownDevice(accountId: string, meta: RequestMeta): Promise<boolean> {
    if (!meta.device) return false;
    const createdAt = { gt: addSeconds(clock.now(), -KNOWN_LOCATION_SECONDS) };
    return hasSession({ accountId, createdAt, deviceHash: deviceHash(accountId, meta) });
  }

  async function hasSession(where: Prisma.SessionWhereInput): Promise<boolean> {
    return (await db.session.findFirst({ where, select: { id: true } })) !== null;
  }
}

/** Returns the conditions for sessions that stayed active after the setup of a second factor. */
const activeAfter = (setupAt: Date) => [
  { expiresAt: { gt: setupAt }, endedAt: null },
  { expiresAt: { gt: setupAt }, endedAt: { gt: setupAt }, endReason: { not: 'mfa_changed' } },
];
