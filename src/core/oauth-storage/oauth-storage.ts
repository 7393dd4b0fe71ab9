/**
 * Stores the data of oidc-provider. Short-lived entries are stored in Redis or the database, grants
 * and refresh tokens always in the database. Secrets are stored as hashes.
 */
import type { Base } from '../../base/base.js';
import { sha256 } from '../../base/crypto.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit } from '../audit/audit.js';
import { createGrants } from './grants.js';
import { createPostgresqlConsentReader } from './postgresql/consent-reader.js';
import { createPostgresqlEphemeralStore } from './postgresql/ephemeral-store.js';
import { createPostgresqlGrantStore } from './postgresql/grant-store.js';
import { createPostgresqlRefreshTokenStore } from './postgresql/refresh-token-store.js';
import { createPrismaConsentReader } from './prisma/consent-reader.js';
import { createPrismaEphemeralStore } from './prisma/ephemeral-store.js';
import { createPrismaGrantStore } from './prisma/grant-store.js';
import { createPrismaRefreshTokenStore } from './prisma/refresh-token-store.js';
import { createRedisEphemeralStore } from './redis/ephemeral-store.js';
import { createRefreshTokens, REVOKED } from './refresh-tokens.js';

interface Deps {
  audit: Audit;
}

export interface RevokedToken {
  kind: 'AccessToken' | 'ClientCredentials';
  jti: string;
  clientId: string;
  accountId?: string;
  /** The expiry of a JWT. Undefined for an opaque token. */
  jwtUntil?: Date;
}

export type OAuthStorage = ReturnType<typeof createOAuthStorage>;

export function createOAuthStorage(base: Base, { audit }: Deps) {
  const { transact, clock, invalidationBus, config } = base;
  const stores = createStores(base);
  const { ephemeral: store, revokedJwts, consents } = stores;
  const grants = createGrants({ transact, clock, audit, invalidationBus, store: stores.grants });
  const refreshTokens = createRefreshTokens({
    ...stores,
    transact,
    clock,
    store: stores.refreshTokens,
    reuseIntervalSeconds: config.refreshReuseSeconds,
  });

  return { store, grants, refreshTokens, consents, idOf, revokeAccessToken, isJwtRevoked };

  /** Returns the id under which a secret value is stored. */
  function idOf(value: string): string {
    return sha256(value);
  }

  /**
   * Revokes one access token. A JWT is not stored, so its id is marked as revoked until the token
   * expires.
   */
  async function revokeAccessToken(token: RevokedToken, meta: RequestMeta): Promise<void> {
    const { kind, jti, clientId, accountId, jwtUntil } = token;
    if (jwtUntil) await revokedJwts.useOnce(REVOKED, idOf(jti), jwtUntil);
    else await store.remove(kind, idOf(jti));
    const by = { kind: 'client' as const, id: clientId };
    await audit.record(undefined, 'token.revoked', { by, clientId, accountId, meta });
    if (jwtUntil) await invalidationBus.publish('tokens');
  }

  async function isJwtRevoked(jti: string): Promise<boolean> {
    return (await revokedJwts.get(REVOKED, idOf(jti))) !== undefined;
  }
}

/** Chooses the implementation of each storage interface. */
function createStores({ db, clock, redis, prepared, config }: Base) {
  const ephemeral = createPrismaEphemeralStore({ db, clock });
  const grants = createPrismaGrantStore({ db, clock });
  const refreshTokens = createPrismaRefreshTokenStore({ db, clock, grants });
  const prismaStores = {
    ephemeral,
    revokedJwts: ephemeral,
    grants,
    refreshTokens,
    consents: createPrismaConsentReader({ db }),
  };
  const databaseStores = prepared
    ? {
        ...prismaStores,
        ephemeral: createPostgresqlEphemeralStore({ prepared, clock, prisma: ephemeral }),
        grants: createPostgresqlGrantStore({ prepared, clock, prisma: grants }),
        refreshTokens: createPostgresqlRefreshTokenStore({ prepared, clock, prisma: refreshTokens }),
        consents: createPostgresqlConsentReader({ prepared }),
      }
    : prismaStores;
  if (!redis) return databaseStores;
  return { ...databaseStores, ephemeral: createRedisEphemeralStore({ redis, prefix: config.redisPrefix, clock }) };
}
