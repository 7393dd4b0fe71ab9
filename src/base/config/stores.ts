/** Settings of storage: the database, Redis, and the master secret. */
import { join } from 'node:path';
import type { ServerConfig } from './server.js';
import { duration, integer, secret, string } from './setting.js';
import { createTopicDefiner, type ResolvedBy } from './topic.js';

export type StoresConfig = ResolvedBy<typeof stores>;

const MIN_SECRET_LENGTH = 32;

export const stores = createTopicDefiner<ServerConfig>()({
  title: 'Storage and secrets',
  settings: {
    dataDir: string('DATA_DIR', './data', 'Folder for the embedded database and the master secret.'),
    databaseUrl: secret(
      'DATABASE_URL',
      'postgresql://… or file:<path>[?synchronous=normal]. Default: SQLite in DATA_DIR.',
    ),
    databasePool: integer('DATABASE_POOL', [1, 500], 10, 'Number of PostgreSQL connections per process.'),
    redisUrl: secret('REDIS_URL', 'redis://… or rediss://…. If set, short-lived state is stored there.'),
    redisPrefix: string('REDIS_PREFIX', 'signet:', 'Prefix of all Redis keys.'),
    auditEventSeconds: duration('AUDIT_EVENT_TTL', '400d', 'Age at which audit events are deleted. 0s: never.', {
      zero: true,
    }),
    secret: secret(
      'SECRET',
      'Master secret of at least 32 characters. Signing keys and stored secrets are encrypted with it. Default: generated in DATA_DIR.',
    ),
    secretPrevious: secret('SECRET_PREVIOUS', 'Previous master secret, while SECRET is being changed.'),
  },
  resolve: ({ databaseUrl, ...values }) => ({
    ...values,
    databaseUrl: databaseUrl ?? `file:${join(values.dataDir, 'signet.db')}`,
  }),
  check(_values, { production, processes, databaseUrl, redisUrl, secret, secretPrevious }) {
    const isPostgresql = /^postgres(ql)?:\/\//.test(databaseUrl);
    const isShort = (text: string | undefined) => text !== undefined && text.length < MIN_SECRET_LENGTH;
    return [
      !isPostgresql && !databaseUrl.startsWith('file:') && 'DATABASE_URL must start with postgresql:// or file:',
      redisUrl !== undefined && !/^rediss?:\/\//.test(redisUrl) && 'REDIS_URL must start with redis:// or rediss://',
      !isPostgresql &&
        processes > 1 &&
        'WEB_CONCURRENCY is greater than 1, but SQLite supports one server process; set DATABASE_URL=postgresql://…, or WEB_CONCURRENCY=1',
      isShort(secret) && `SECRET has fewer than ${MIN_SECRET_LENGTH} characters`,
      isShort(secretPrevious) && `SECRET_PREVIOUS has fewer than ${MIN_SECRET_LENGTH} characters`,
      production &&
        isPostgresql &&
        !secret &&
        'SECRET is missing: in production on PostgreSQL, all processes need the same secret; generate it with: openssl rand -base64 32',
    ];
  },
});
