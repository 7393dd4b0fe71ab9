/** Notifies users by e-mail that an external provider was linked to their account. */

import type { Clock } from '../../base/clock.js';
import { LIMITS } from '../../base/limits.js';
import type { Log } from '../../base/log.js';
import type { MailTemplates } from '../../base/mail/templates.js';
import type { Mailer } from '../../base/mailer.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account } from '../accounts/accounts.js';
import { mailAddressOf } from '../accounts/fields.js';
import { describeSecurityEvent } from '../sessions/devices.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  log: Log;
  mailer: Mailer;
}

type LinkedBy = MailTemplates['provider-linked']['by'];

/** Prevents repeated linking and unlinking from flooding a mailbox. */
const BY_ACCOUNT = LIMITS['provider-linked-account'];

export type LinkNotifications = ReturnType<typeof createLinkNotifications>;

export function createLinkNotifications({ clock, rateLimiter, log, mailer }: Deps) {
  return { notify };

  /**
   * Sends the e-mail. Never rejects, because the provider is already linked.
   *
   * @param by how the provider was linked: by the signed-in user (`login`), by the e-mail
   *   address, or by an administrator
   */
  async function notify(account: Account, provider: string, by: LinkedBy, meta: RequestMeta): Promise<void> {
    try {
      if (!(await rateLimiter.tryConsume(BY_ACCOUNT, account.id))) return;
      const event = describeSecurityEvent(meta, clock.now());
      mailer.send(mailAddressOf(account), 'provider-linked', { ...event, provider, by });
    } catch (error) {
      log.error({ error }, 'could not notify the user of a linked provider');
    }
  }
}
