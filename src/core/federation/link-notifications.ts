/**
 * Tells people by mail that a provider elsewhere signs them in from now on: whoever did not want
 * that must learn of it.
 */
import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { MailTemplates } from '../../base/mail/templates.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { type Account, mailAddressOf } from '../accounts/accounts.js';
import type { RequestMeta } from '../request-meta.js';
import { describeSecurityEvent } from '../sessions/devices.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  log: Log;
  mail: Mail;
}

type LinkedBy = MailTemplates['provider-linked']['by'];

/** Linking and unlinking in turns fills nobody's mailbox. */
const BY_ACCOUNT: Limit = { name: 'provider-linked-account', points: 20, seconds: DAY_SECONDS };

export type LinkNotifications = ReturnType<typeof createLinkNotifications>;

export function createLinkNotifications({ clock, rateLimiter, log, mail }: Deps) {
  return { notify };

  /**
   * The link is there, whether or not the owner can be told.
   *
   * @param by `email`: nobody was signed in, the address alone led to the account, and its logins
   *   have ended
   */
  async function notify(account: Account, provider: string, by: LinkedBy, meta: RequestMeta): Promise<void> {
    try {
      if (!(await rateLimiter.tryConsume(BY_ACCOUNT, account.id))) return;
      const happening = describeSecurityEvent(meta, clock.now());
      mail.send(mailAddressOf(account), 'provider-linked', { ...happening, provider, by });
    } catch (error) {
      log.error({ error }, 'nobody was told of a link to a provider elsewhere');
    }
  }
}
