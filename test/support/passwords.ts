// The password service, as the command line uses it: without a network address.

import { systemMeta } from '../../src/base/request-meta.js';
import { createPasswords } from '../../src/core/accounts/passwords.js';

type Options = Partial<Parameters<typeof createPasswords>[0]>;

const QUEUE_LIMITS = { maxWaiting: 100, maxWaitingPerNetwork: 100 };

export function openPasswords(options: Options = {}) {
  const passwords = createPasswords({ cost: 4, queueLimits: QUEUE_LIMITS, ...options });
  return {
    ...passwords,
    hash: (password: string) => passwords.hash(password, systemMeta),
    verify: (password: string, stored: string | null | undefined) => passwords.verify(password, stored, systemMeta),
  };
}
