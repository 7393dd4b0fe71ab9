/** The implementations of the storage interfaces, for the contract suites. */
import { afterAll, beforeAll } from 'vitest';
import { createPostgresqlConsentReader } from '../../../src/core/oauth-storage/postgresql/consent-reader.js';
import { createPostgresqlEphemeralStore } from '../../../src/core/oauth-storage/postgresql/ephemeral-store.js';
import { createPostgresqlGrantStore } from '../../../src/core/oauth-storage/postgresql/grant-store.js';
import { createPostgresqlRefreshTokenStore } from '../../../src/core/oauth-storage/postgresql/refresh-token-store.js';
import { createPrismaConsentReader } from '../../../src/core/oauth-storage/prisma/consent-reader.js';
import { createPrismaEphemeralStore } from '../../../src/core/oauth-storage/prisma/ephemeral-store.js';
import { createPrismaGrantStore } from '../../../src/core/oauth-storage/prisma/grant-store.js';
import { createPrismaRefreshTokenStore } from '../../../src/core/oauth-storage/prisma/refresh-token-store.js';
import { createRedisEphemeralStore } from '../../../src/core/oauth-storage/redis/ephemeral-store.js';
import type {
  ConsentReader,
  EphemeralStore,
  GrantStore,
  RefreshTokenStore,
} from '../../../src/core/oauth-storage/stores.js';
import { startServer, type TestServer } from '../../support/server.js';
import { type Store, stores } from '../../support/stores.js';

type Kind = 'prisma' | 'postgresql' | 'redis';

export interface Implementation {
  name: string;
  kind: Kind;
  engine: Store;
}

/** The objects under test, set when the server of the suite runs. */
export interface Opened {
  server: TestServer;
  ephemeral: EphemeralStore;
  grants: GrantStore;
  refreshTokens: RefreshTokenStore;
  consents: ConsentReader;
}

const KINDS: Record<Store['name'], Kind[]> = {
  SQLite: ['prisma'],
  PostgreSQL: ['prisma', 'postgresql'],
  'PostgreSQL and Redis': ['redis'],
};

export const ephemeralImplementations: Implementation[] = stores.flatMap((engine) =>
  KINDS[engine.name].map((kind) => ({ name: `${kind}, on ${engine.name}`, kind, engine })),
);

/** Grants, refresh tokens and consents are always in the database. */
export const databaseImplementations = ephemeralImplementations.filter(({ kind }) => kind !== 'redis');

/** Starts a server before the tests of a suite, and returns its implementations. */
export function useImplementation({ kind, engine }: Implementation): Opened {
  const opened = {} as Opened;
  beforeAll(async () => {
    const server = await startServer({ store: engine });
    const { db, clock, prepared, redis, config } = server.base;
    const grants = createPrismaGrantStore({ db, clock });
    const prisma = {
      ephemeral: createPrismaEphemeralStore({ db, clock }),
      grants,
      refreshTokens: createPrismaRefreshTokenStore({ db, clock, grants }),
      consents: createPrismaConsentReader({ db }),
    };
    Object.assign(opened, { server, ...prisma });
    if (kind === 'redis') {
      opened.ephemeral = createRedisEphemeralStore({ redis: redis!, prefix: config.redisPrefix, clock });
    }
    if (kind === 'postgresql') {
      const statements = { prepared: prepared!, clock };
      opened.ephemeral = createPostgresqlEphemeralStore({ ...statements, prisma: prisma.ephemeral });
      opened.grants = createPostgresqlGrantStore({ ...statements, prisma: prisma.grants });
      opened.refreshTokens = createPostgresqlRefreshTokenStore({ ...statements, prisma: prisma.refreshTokens });
      opened.consents = createPostgresqlConsentReader({ prepared: prepared! });
    }
  });
  afterAll(() => opened.server.close());
  return opened;
}
