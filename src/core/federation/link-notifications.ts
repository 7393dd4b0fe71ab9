/** Notifies users by mail that an external provider was linked to their account. */
import { type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { MailTemplates } from '../../base/mail/templates.js';
import type { Mailer } from '../../base/mailer.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Account } from '../accounts/accounts.js';
import { mailAddressOf } from '../accounts/fields.js';
import type { RequestMeta } from '../request-meta.js';
import { describeSecurityEvent } from '../sessions/devices.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  log: Log;
  mailer: Mailer;
}

type LinkedBy = MailTemplates['provider-linked']['by'];

/** Repeated linking and unlinking must not flood a mailbox. */
const BY_ACCOUNT: Limit = { name: 'provider-linked-account', points: 20, seconds: DAY_SECONDS };

export type LinkNotifications = ReturnType<typeof createLinkNotifications>;

export function createLinkNotifications({ clock, rateLimiter, log, mailer }: Deps) {
  return { notify };

  /**
   * Mails the user. Never rejects: the link stands whether or not the mail can be sent.
   *
   * @param by `email` if the e-mail address led to the account and its sessions were revoked
   */
  async function notify(account: Account, provider: string, by: LinkedBy, meta: RequestMeta): Promise<void> {
    try {
      if (!(await rateLimiter.tryConsume(BY_ACCOUNT, account.id))) return;
      const event = describeSecurityEvent(meta, clock.now());
      mailer.send(mailAddressOf(account), 'provider-linked', { ...event, provider, by });
    } catch (error) {
      log.error({ error }, 'the notification of a linked provider could not be sent');
    }
  }
}
