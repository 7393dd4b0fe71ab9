/** What every store of short-lived artifacts can do, whether it is the database or Redis. */
import type { Queryable } from '../../base/db/open.js';

/** As the protocol engine gave it: plain JSON. */
export type Payload = Record<string, unknown>;

export interface EntryMetadata {
  expiresAt: Date;
  /** A second name that is no secret, by which it can be found. */
  uid?: string;
  userCode?: string;
}

export interface StoredEntry {
  id: string;
  payload: Payload;
  consumedAt: Date | undefined;
}

/**
 * Ids are those under which it is stored: hashes where the value is a secret. Expired artifacts are
 * never found.
 */
export interface EphemeralStore {
  /** Writes or overwrites. What was consumed stays consumed. */
  put(kind: string, id: string, payload: Payload, metadata: EntryMetadata): Promise<void>;
  get(kind: string, id: string): Promise<StoredEntry | undefined>;
  getByUid(kind: string, uid: string): Promise<StoredEntry | undefined>;
  getByUserCode(kind: string, userCode: string): Promise<StoredEntry | undefined>;
  /** Of any number of simultaneous calls exactly one is true. False also when it is gone. */
  consume(kind: string, id: string): Promise<boolean>;
  /** True for the first call with this id until it expires, false for every other one. */
  useOnce(kind: string, id: string, expiresAt: Date): Promise<boolean>;
  /** `tx`: the transaction that it should be part of, where the store is the database. */
  remove(kind: string, id: string, tx?: Queryable): Promise<void>;
}
