/**
 * All that the protocol engine stores, as plain rows: the short-lived artifacts in Redis or the
 * database, what must last (grants, refresh tokens) always in the database. Values that are secrets
 * are stored by their hash.
 */
import type { Redis } from 'ioredis';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Database } from '../../base/db/open.js';
import type { Prepared } from '../../base/db/prepared.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import { createGrants } from './grants.js';
import { createFastPaths } from './postgresql.js';
import { createPostgresqlStore } from './postgresql-store.js';
import { createRedisStore } from './redis-store.js';
import { createRefreshTokens, REVOKED } from './refresh-tokens.js';
import { createSqlStore } from './sql-store.js';
import type { EphemeralStore } from './store.js';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  redis?: { client: Redis; prefix: string };
  prepared?: Prepared;
  /** REFRESH_TOKEN_REUSE_INTERVAL, in seconds. */
  retrySeconds: number;
}

export interface RevokedToken {
  kind: 'AccessToken' | 'ClientCredentials';
  jti: string;
  clientId: string;
  accountId?: string;
  /** When it expires, if it is a JWT. */
  jwtUntil?: Date;
}

export type OAuthStorage = ReturnType<typeof createOAuthStorage>;

export function createOAuthStorage({ db, clock, audit, invalidationBus, redis, prepared, retrySeconds }: Deps) {
  const fast = prepared && createFastPaths(prepared);
  const sql = createSqlStore({ db, clock });
  const store = chooseStore();
  const grants = createGrants({ db, clock, audit, invalidationBus, fast });
  const refreshTokens = createRefreshTokens({ db, clock, store, retrySeconds, fast });

  return { store, grants, refreshTokens, idOf, revokeAccessToken, isJwtRevoked };

  function chooseStore(): EphemeralStore {
    if (redis) return createRedisStore({ redis: redis.client, prefix: redis.prefix, clock });
    return prepared ? createPostgresqlStore({ sql, prepared, clock }) : sql;
  }

  /** The id under which a secret value is stored. */
  function idOf(value: string): string {
    return sha256(value);
  }

  /**
   * Ends one access token before its time. A JWT is not stored: a mark is kept for as long as
   * somebody could show it.
   */
  async function revokeAccessToken(token: RevokedToken, meta: RequestMeta): Promise<void> {
    const { kind, jti, clientId, accountId, jwtUntil } = token;
    if (jwtUntil) await sql.useOnce(REVOKED, idOf(jti), jwtUntil);
    else await store.remove(kind, idOf(jti));
    const actor = { kind: 'client' as const, id: clientId };
    await audit.record({ action: 'token.revoked', actor, clientId, accountId, meta });
    if (jwtUntil) await invalidationBus.publish('tokens');
  }

  async function isJwtRevoked(jti: string): Promise<boolean> {
    return (await sql.get(REVOKED, idOf(jti))) !== undefined;
  }
}
