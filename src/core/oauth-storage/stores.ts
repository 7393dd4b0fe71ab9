/**
 * The storage interfaces of this module. Their implementations are in `prisma/` (any database),
 * `postgresql/` (prepared statements) and `redis/`. All implementations of an interface pass the
 * same contract suite.
 *
 * A parameter `tx` makes an operation part of a transaction of the database.
 */
import type { Consent, Grant, Queryable, RefreshToken } from '../../base/db/open.js';

/** A JSON object from oidc-provider. */
export type Payload = Record<string, unknown>;

export interface EntryMetadata {
  expiresAt: Date;
  /** A second key of the entry, which is not secret. */
  uid?: string;
  /** The code that the user enters in the device flow. */
  userCode?: string;
}

export interface StoredEntry {
  id: string;
  payload: Payload;
  consumedAt: Date | undefined;
}

/**
 * Short-lived entries: authorization codes, opaque access tokens, interactions. An entry has a kind
 * and an id, which is a hash where the value is secret. Expired entries are never returned.
 */
export interface EphemeralStore {
  /** Creates or overwrites an entry. A consumed entry stays consumed. */
  put(kind: string, id: string, payload: Payload, metadata: EntryMetadata): Promise<void>;
  get(kind: string, id: string): Promise<StoredEntry | undefined>;
  getByUid(kind: string, uid: string): Promise<StoredEntry | undefined>;
  getByUserCode(kind: string, userCode: string): Promise<StoredEntry | undefined>;
  /**
   * Returns true for only one of several concurrent calls. Returns false if there is no entry.
   *
   * @param remaining replaces the payload of the consumed entry. Default: the payload is kept
   */
  consume(kind: string, id: string, remaining?: Payload): Promise<boolean>;
  /** Returns true for the first call with this id until `expiresAt`, and false for the others. */
  useOnce(kind: string, id: string, expiresAt: Date): Promise<boolean>;
  /** Deletes an entry. Redis ignores `tx`. */
  remove(kind: string, id: string, tx?: Queryable): Promise<void>;
}

/** A grant: the root of a token family. */
export interface NewGrant {
  id: string;
  accountId: string;
  clientId: string;
  /** The session in which it was issued. */
  sessionId?: string;
  /** True for `offline_access`: the grant outlives its session. */
  offline: boolean;
  /** True if it depends on a stored consent; false for first-party clients. */
  consented: boolean;
  payload: Payload;
  expiresAt: Date;
}

export type StoredGrant = Omit<Grant, 'payload'> & { payload: Payload };

/** Selects the grants to revoke. */
export type GrantSelection =
  | { id: string }
  | { sessionIds: string[]; offline?: false }
  | { accountId: string; clientId?: string }
  /** All grants of an account, except those of one session. */
  | { accountId: string; exceptSessionId: string }
  | { clientIds: string[] };

export interface GrantStore {
  /**
   * Creates or overwrites a grant. Returns false, and writes nothing, if its session or its consent
   * was revoked. Neither can be revoked between this check and the write.
   */
  save(grant: NewGrant): Promise<boolean>;
  /** Creates a grant without the checks of `save`, in the transaction that creates its session. */
  insert(grant: NewGrant, tx: Queryable): Promise<void>;
  /** Returns expired grants too. */
  find(id: string, tx?: Queryable): Promise<StoredGrant | undefined>;
  /** Returns the grants of an account that have not expired, newest first. */
  list(accountId: string): Promise<StoredGrant[]>;
  /**
   * Updates `lastUsedAt`, which locks the grant until the transaction ends. Returns false if the
   * grant does not exist.
   */
  lock(id: string, tx: Queryable): Promise<boolean>;
  /** Deletes grants, and with them their refresh tokens. Returns the number of grants. */
  deleteWhere(selection: GrantSelection, tx: Queryable): Promise<number>;
}

export interface NewRefreshToken {
  id: string;
  grantId: string;
  payload: Payload;
  expiresAt: Date;
  /** The stored id of the access token in the same response. A retry revokes both. */
  accessTokenId?: string;
}

export type StoredRefreshToken = Omit<RefreshToken, 'payload'> & { payload: Payload };

export interface RefreshTokenStore {
  /** Creates a token. Returns false if its grant was revoked. */
  save(token: NewRefreshToken): Promise<boolean>;
  /** Creates a token in a transaction that has created or locked its grant. */
  insert(token: NewRefreshToken, tx: Queryable): Promise<void>;
  /** Returns consumed and expired tokens too. */
  find(id: string, tx?: Queryable): Promise<StoredRefreshToken | undefined>;
  /**
   * Consumes an unused token and stores its successor, atomically. Returns false, and changes
   * neither token, if the token was consumed, or if the token or its grant was deleted.
   *
   * @param redeemedWith the DPoP or certificate thumbprint of the request, if any
   */
  rotateUnused(id: string, successor: NewRefreshToken, redeemedWith: string | null): Promise<boolean>;
  /** Marks a token as consumed, again after a retry. Returns false if it was deleted. */
  markConsumed(id: string, consumption: Consumption, tx: Queryable): Promise<boolean>;
  /** Reports whether the token exists and has expired. */
  hasExpired(id: string): Promise<boolean>;
  remove(id: string): Promise<void>;
}

export interface Consumption {
  consumedAt: Date;
  successorId: string | null;
  redeemedWith?: string | null;
}

/** Reads consents during authorization requests. `core/consents` writes them. */
export interface ConsentReader {
  find(accountId: string, clientId: string): Promise<Pick<Consent, 'scopes'> | undefined>;
}
