/**
 * Limits how many clients are stored with which no user has signed in: for one network, and in all.
 * A registration above the limit replaces the oldest of them, so that an attacker cannot prevent
 * the registrations of other users. Concurrent registrations can exceed the limits by their number.
 */
import { HOUR_SECONDS } from '../../base/clock.js';
import type { Database, Prisma } from '../../base/db/open.js';
import { networkKey } from '../../base/ip-address.js';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { NEVER_USED, type UnusedClients } from './unused-client-cleanup.js';

/** The error of a registration above a limit. The message names the limit. */
export class ClientLimitError extends Error {
  readonly retryAfterSeconds = HOUR_SECONDS;

  constructor(subject: string, limit: number) {
    super(`${subject} has ${limit} clients with which no user has signed in; use one of them, or try again in an hour`);
  }
}

interface Deps {
  db: Database;
  log: Log;
  unusedClients: Pick<UnusedClients, 'removeOldest'>;
  perNetwork: number;
  total: number;
}

/** Limits the work of one registration, after a setting was lowered. */
const MAX_REMOVALS = 20;

export type UnusedClientLimits = ReturnType<typeof createUnusedClientLimits>;

export function createUnusedClientLimits({ db, log, unusedClients, perNetwork, total }: Deps) {
  return { makeRoom };

  /**
   * Makes room for one more client, and returns the network to store with it. Throws
   * `ClientLimitError` if all unused clients of the network, or of the instance, are younger than
   * an hour, so that none can be deleted.
   */
  async function makeRoom({ address }: RequestMeta): Promise<string> {
    const network = networkKey(address);
    if (!(await hasRoom(perNetwork, network))) throw new ClientLimitError('this network', perNetwork);
    if (!(await hasRoom(total))) throw new ClientLimitError('this server', total);
    return network;
  }

  /** Reports whether the limit allows one more client, after the deletion of old ones. */
  async function hasRoom(limit: number, network?: string): Promise<boolean> {
    const where: Prisma.ClientWhereInput = { ...NEVER_USED, ...(network !== undefined && { network }) };
    const excess = (await db.client.count({ where })) + 1 - limit;
    if (excess <= 0) return true;
    const removed = await unusedClients.removeOldest(Math.min(excess, MAX_REMOVALS), network);
    log.warn({ limit, network, removed }, 'the limit of unused clients is reached');
    return removed > 0;
  }
}
