/** Notifies users by e-mail of a sign-in from a device that their account has not used before. */

import type { Clock } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import { LIMITS } from '../../base/limits.js';
import type { Log } from '../../base/log.js';
import type { Mailer } from '../../base/mailer.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account } from '../accounts/accounts.js';
import { mailAddressOf } from '../accounts/fields.js';
import { describeSecurityEvent, deviceHash } from '../sessions/devices.js';

interface Deps {
  db: Database;
  clock: Clock;
  rateLimiter: RateLimiter;
  log: Log;
  mailer: Mailer;
}

/** Limits e-mails per account: a browser without cookies is a new device at each sign-in. */
const BY_ACCOUNT = LIMITS['new-device-account'];

export type NewDevice = ReturnType<typeof createNewDevice>;

export function createNewDevice({ db, clock, rateLimiter, log, mailer }: Deps) {
  return { isNew, notify };

  /**
   * Reports whether the account has sessions, but none from this device. Returns false if e-mail is
   * not configured. Call it before the new session is created.
   */
  async function isNew({ id: accountId }: Account, meta: RequestMeta): Promise<boolean> {
    if (!mailer.canSend) return false;
    const select = { id: true };
    const fromThisDevice = { accountId, deviceHash: deviceHash(accountId, meta) };
    if (await db.session.findFirst({ where: fromThisDevice, select })) return false;
    return (await db.session.findFirst({ where: { accountId }, select })) !== null;
  }

  /** Sends the e-mail. Never rejects, because a failed notification must not fail the sign-in. */
  async function notify(account: Account, meta: RequestMeta): Promise<void> {
    try {
      if (await rateLimiter.tryConsume(BY_ACCOUNT, account.id))
        mailer.send(mailAddressOf(account), 'new-device', describeSecurityEvent(meta, clock.now()));
    } catch (error) {
      log.error({ error }, 'could not notify the user of a new device');
    }
  }
}
