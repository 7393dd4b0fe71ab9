/** Tells people by mail when somebody signs in to their account from a device that was not used for it before. */
import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import { type Account, mailboxOf } from '../accounts/accounts.js';
import type { Caller } from '../request-meta.js';
import { describeHappening, deviceHash } from '../sessions/devices.js';

interface Needs {
  db: Database;
  clock: Clock;
  limits: Limits;
  log: Log;
  mail: Mail;
}

/** A browser that keeps no cookies is new each time; after a few mails nobody reads them. */
const BY_ACCOUNT: Limit = { name: 'new-device-account', points: 5, seconds: DAY_SECONDS };

export type NewDevice = ReturnType<typeof createNewDevice>;

export function createNewDevice({ db, clock, limits, log, mail }: Needs) {
  return { isNew, tell };

  /** To be asked before the login is there. With the first login of an account there is nothing to compare. */
  async function isNew({ id: accountId }: Account, caller: Caller): Promise<boolean> {
    if (!mail.isConfigured) return false;
    const select = { id: true };
    const known = { accountId, deviceHash: deviceHash(accountId, caller) };
    if (await db.session.findFirst({ where: known, select })) return false;
    return (await db.session.findFirst({ where: { accountId }, select })) !== null;
  }

  /** Nobody is kept out because the owner could not be told. */
  async function tell(account: Account, caller: Caller): Promise<void> {
    try {
      if (await limits.fits(BY_ACCOUNT, account.id))
        mail.send(mailboxOf(account), 'new-device', describeHappening(caller, clock.now()));
    } catch (error) {
      log.error({ error }, 'nobody was told of a new device');
    }
  }
}
