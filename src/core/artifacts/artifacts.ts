/**
 * All that the protocol engine stores, as plain rows: the short-lived artifacts in Redis or the database, what must last (grants,
 * refresh tokens) always in the database. Values that are secrets are stored by their hash.
 */
import type { Redis } from 'ioredis';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { Audit } from '../audit/audit.js';
import { createGrants } from './grants.js';
import { createRedisStore } from './redis-store.js';
import { createRefreshTokens, REVOKED } from './refresh-tokens.js';
import { createSqlStore } from './sql-store.js';

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  redis?: { client: Redis; prefix: string };
  /** REFRESH_RETRY_WINDOW, in seconds. */
  retrySeconds: number;
}

export type Artifacts = ReturnType<typeof createArtifacts>;

export function createArtifacts({ db, clock, audit, redis, retrySeconds }: Needs) {
  const sql = createSqlStore({ db, clock });
  const store = redis ? createRedisStore({ redis: redis.client, prefix: redis.prefix, clock }) : sql;
  const grants = createGrants({ db, clock, audit });
  const refreshTokens = createRefreshTokens({ db, clock, store, retrySeconds });

  return { store, grants, refreshTokens, idOf, revokeJwt, isJwtRevoked };

  /** The id under which a secret value is stored. */
  function idOf(value: string): string {
    return sha256(value);
  }

  /** Remembers that a JWT access token was revoked, for as long as somebody could show it. In the database: it must last. */
  async function revokeJwt(jti: string, until: Date): Promise<void> {
    await sql.markOnce(REVOKED, idOf(jti), until);
  }

  async function isJwtRevoked(jti: string): Promise<boolean> {
    return (await sql.get(REVOKED, idOf(jti))) !== undefined;
  }
}
