/**
 * Tells people by mail when somebody signs in to their account from a device that was not used for
 * it before.
 */
import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { type Account, mailAddressOf } from '../accounts/accounts.js';
import type { RequestMeta } from '../request-meta.js';
import { describeSecurityEvent, deviceHash } from '../sessions/devices.js';

interface Deps {
  db: Database;
  clock: Clock;
  rateLimiter: RateLimiter;
  log: Log;
  mail: Mail;
}

/** A browser that keeps no cookies is new each time; after a few mails nobody reads them. */
const BY_ACCOUNT: Limit = { name: 'new-device-account', points: 5, seconds: DAY_SECONDS };

export type NewDevice = ReturnType<typeof createNewDevice>;

export function createNewDevice({ db, clock, rateLimiter, log, mail }: Deps) {
  return { isNew, notify };

  /**
   * To be asked before the login is there. With the first login of an account there is nothing to
   * compare.
   */
  async function isNew({ id: accountId }: Account, meta: RequestMeta): Promise<boolean> {
    if (!mail.isConfigured) return false;
    const select = { id: true };
    const known = { accountId, deviceHash: deviceHash(accountId, meta) };
    if (await db.session.findFirst({ where: known, select })) return false;
    return (await db.session.findFirst({ where: { accountId }, select })) !== null;
  }

  /** Nobody is kept out because the owner could not be told. */
  async function notify(account: Account, meta: RequestMeta): Promise<void> {
    try {
      if (await rateLimiter.tryConsume(BY_ACCOUNT, account.id))
        mail.send(mailAddressOf(account), 'new-device', describeSecurityEvent(meta, clock.now()));
    } catch (error) {
      log.error({ error }, 'nobody was told of a new device');
    }
  }
}
