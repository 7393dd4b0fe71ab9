/** Tells people by mail that a provider elsewhere signs them in from now on: whoever did not want that must learn of it. */
import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Letters } from '../../base/mail/templates.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import { type Account, mailboxOf } from '../accounts/accounts.js';
import type { Caller } from '../request-meta.js';
import { describeHappening } from '../sessions/devices.js';

interface Needs {
  clock: Clock;
  limits: Limits;
  log: Log;
  mail: Mail;
}

type LinkedBy = Letters['provider-linked']['by'];

/** Linking and unlinking in turns fills nobody's mailbox. */
const BY_ACCOUNT: Limit = { name: 'provider-linked-account', points: 20, seconds: DAY_SECONDS };

export type LinkNews = ReturnType<typeof createLinkNews>;

export function createLinkNews({ clock, limits, log, mail }: Needs) {
  return { tell };

  /**
   * The link is there, whether or not the owner can be told.
   *
   * @param by `email`: nobody was signed in, the address alone led to the account, and its logins have ended
   */
  async function tell(account: Account, provider: string, by: LinkedBy, caller: Caller): Promise<void> {
    try {
      if (!(await limits.fits(BY_ACCOUNT, account.id))) return;
      const happening = describeHappening(caller, clock.now());
      mail.send(mailboxOf(account), 'provider-linked', { ...happening, provider, by });
    } catch (error) {
      log.error({ error }, 'nobody was told of a link to a provider elsewhere');
    }
  }
}
