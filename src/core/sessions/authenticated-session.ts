import type { Session } from '../../base/db/open.js';
import type { Account } from '../accounts/accounts.js';

/** An active session with its account. */
export interface AuthenticatedSession {
  session: Session;
  account: Account;
  /** The authentication methods used (RFC 8176). */
  amr: string[];
}
