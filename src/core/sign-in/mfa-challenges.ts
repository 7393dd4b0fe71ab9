/**
 * Between the password and the second factor: a sealed note of who proved what, for the page that
 * asks for the code. It opens nothing by itself, is good for five minutes and for one sign-in, and
 * void as soon as the password is changed.
 */

import { isUniqueViolation } from '../../base/app-error.js';
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import { randomToken, type Secrets, sha256 } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { Account } from '../accounts/accounts.js';
import type { ExternalIdentity } from '../identities/identities.js';

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
}

export interface MfaChallenge {
  id: string;
  accountId: string;
  /** What was proved already. */
  amr: string[];
  /** Who they are at the provider elsewhere that says so. */
  from?: ExternalIdentity | undefined;
  /** Milliseconds since 1970; null for an account without a password. */
  passwordChangedAt: number | null;
  expiresAt: number;
}

const PURPOSE = 'sign-in-ticket';
const CHALLENGE_SECONDS = 5 * MINUTE_SECONDS;

export function createMfaChallenges({ db, clock, secrets }: Deps) {
  return { issue, read, isFor, consume };

  async function issue(account: Account, amr: string[], from: ExternalIdentity | undefined): Promise<string> {
    const challenge: MfaChallenge = {
      id: randomToken(),
      accountId: account.id,
      amr,
      from,
      passwordChangedAt: passwordChangedAt(account),
      expiresAt: addSeconds(clock.now(), CHALLENGE_SECONDS).getTime(),
    };
    return secrets.seal(PURPOSE, JSON.stringify(challenge));
  }

  /** What a ticket of ours says, while it is young. */
  async function read(sealed: string): Promise<MfaChallenge | undefined> {
    const text = await secrets.open(PURPOSE, sealed).catch(() => undefined);
    const challenge = text === undefined ? undefined : (JSON.parse(text) as MfaChallenge);
    return challenge && challenge.expiresAt > clock.now().getTime() ? challenge : undefined;
  }

  /** Whether the account is still as it was. */
  function isFor(challenge: MfaChallenge, account: Account | null): account is Account {
    return account?.id === challenge.accountId && passwordChangedAt(account) === challenge.passwordChangedAt;
  }

  /** False when it was spent before. */
  async function consume({ id, accountId, expiresAt }: MfaChallenge): Promise<boolean> {
    const now = clock.now();
    const used = { createdAt: now, consumedAt: now, expiresAt: new Date(expiresAt) };
    try {
      await db.oneTimeToken.create({ data: { tokenHash: sha256(id), purpose: PURPOSE, accountId, ...used } });
      return true;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      return false;
    }
  }
}

const passwordChangedAt = (account: Account) => account.passwordChangedAt?.getTime() ?? null;
