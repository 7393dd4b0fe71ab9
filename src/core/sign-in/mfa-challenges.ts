/**
 * MFA challenges: encrypted records of a completed first factor, for the page that requests the
 * second factor. A challenge grants no access by itself. It is valid for five minutes and one
 * sign-in, and a password change invalidates it.
 */

import { isUniqueViolation } from '../../base/app-error.js';
import { addSeconds, type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import { randomToken, type Secrets, sha256 } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { Account } from '../accounts/accounts.js';
import type { ExternalIdentity } from '../identities/identities.js';
import type { Authenticated } from './session-issuance.js';

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
}

export interface MfaChallenge {
  id: string;
  accountId: string;
  /** The methods used so far (RFC 8176). */
  amr: string[];
  externalIdentity?: ExternalIdentity | undefined;
  /** Milliseconds since 1970; null for an account without a password. */
  passwordChangedAt: number | null;
  expiresAt: number;
}

const PURPOSE = 'mfa-challenge';
const CHALLENGE_SECONDS = 5 * MINUTE_SECONDS;

export function createMfaChallenges({ db, clock, secrets }: Deps) {
  return { issue, read, isFor, consume };

  /** Returns an encrypted challenge for a user who must still present the second factor. */
  async function issue({ account, amr, externalIdentity }: Authenticated): Promise<string> {
    const challenge: MfaChallenge = {
      id: randomToken(),
      accountId: account.id,
      amr,
      externalIdentity,
      passwordChangedAt: passwordChangedAt(account),
      expiresAt: addSeconds(clock.now(), CHALLENGE_SECONDS).getTime(),
    };
    return secrets.seal(PURPOSE, JSON.stringify(challenge));
  }

  /** Decrypts a challenge. Returns undefined if this server did not issue it, or it has expired. */
  async function read(encryptedChallenge: string): Promise<MfaChallenge | undefined> {
    const text = await secrets.open(PURPOSE, encryptedChallenge).catch(() => undefined);
    const challenge = text === undefined ? undefined : (JSON.parse(text) as MfaChallenge);
    return challenge && challenge.expiresAt > clock.now().getTime() ? challenge : undefined;
  }

  /** Reports whether the challenge is for this account and its password has not changed since. */
  function isFor(challenge: MfaChallenge, account: Account | null): account is Account {
    return account?.id === challenge.accountId && passwordChangedAt(account) === challenge.passwordChangedAt;
  }

  /** Marks the challenge as used. Returns false if it was used before. */
  async function consume({ id, accountId, expiresAt }: MfaChallenge): Promise<boolean> {
    const now = clock.now();
    const times = { createdAt: now, consumedAt: now, expiresAt: new Date(expiresAt) };
    try {
      await db.oneTimeToken.create({ data: { tokenHash: sha256(id), purpose: PURPOSE, accountId, ...times } });
      return true;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      return false;
    }
  }
}

const passwordChangedAt = (account: Account) => account.passwordChangedAt?.getTime() ?? null;
