/**
 * What a token family is made of, as it is written: a grant, and one refresh token after the other.
 */
import type { Payload } from './store.js';

export interface NewGrant {
  id: string;
  accountId: string;
  clientId: string;
  /** The login that it came from. */
  sessionId?: string;
  /** Whether it survives the end of that login. */
  offline: boolean;
  /** Whether it rests on a consent of the person, and not on an administrator's word. */
  consented: boolean;
  payload: Payload;
  expiresAt: Date;
}

export interface NewRefreshToken {
  id: string;
  grantId: string;
  payload: Payload;
  expiresAt: Date;
  /** The stored id of the access token that is given out with it, so that it can die with it. */
  accessTokenId?: string;
}
