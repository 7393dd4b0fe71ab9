// A real house on a real store: the same lines as main.ts, on a free port, with its log kept for
// the test.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { createApp } from '../../src/app.js';
import { type Base, openBase } from '../../src/base/base.js';
import type { Clock } from '../../src/base/clock.js';
import { readConfig } from '../../src/base/config.js';
import { createLog } from '../../src/base/log.js';
import { createCore } from '../../src/core/core.js';
import { systemMeta } from '../../src/core/request-meta.js';
import { SECRET } from './signing-keys.js';
import { type OpenStore, type Store, stores } from './stores.js';

export type TestServer = Awaited<ReturnType<typeof startServer>>;

export interface TestServerOptions {
  store?: Store;
  /** A house beside another one on the same store: the other's. */
  sharedWith?: { data: OpenStore; dataDir: string; issuer: string };
  settings?: Record<string, string>;
  clock?: Clock;
  /** Puts something between the house and its stores: see outage.ts. */
  wrapBase?: (base: Base) => Base;
}

export const PASSWORD = 'correct horse battery';

/** Opens a house. `settings` are environment variables. Close it at the end. */
export async function startServer({
  store = stores[0]!,
  sharedWith,
  settings = {},
  clock,
  wrapBase = (base) => base,
}: TestServerOptions = {}) {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const data = sharedWith?.data ?? (await store.open());
  const dataDir = sharedWith?.dataDir ?? mkdtempSync(join(tmpdir(), 'signet-test-'));
  const lines: string[] = [];
  const config = readConfig({
    NODE_ENV: 'test',
    PORT: String(port),
    ISSUER: sharedWith?.issuer ?? `http://localhost:${port}`,
    DATA_DIR: dataDir,
    DATABASE_URL: data.databaseUrl,
    REDIS_URL: data.redisUrl,
    REDIS_PREFIX: data.redisPrefix,
    PASSWORD_HASH_COST: '4',
    SECRET,
    // Tests ask more often than anybody; what limits do has tests of its own.
    RATE_LIMIT_ANONYMOUS: '0',
    RATE_LIMIT_HUMAN: '0',
    RATE_LIMIT_AGENT: '0',
    RATE_LIMIT_DEFAULT: '0',
    ...settings,
  });
  const log = createLog(config.logLevel, { write: (line) => lines.push(line) });
  const base = wrapBase(await openBase(config, { log, clock }));
  if (config.secret === SECRET) await giveKeys(base);
  const core = await createCore(base);
  const app = await createApp(base, core);
  server.on('request', app.handle);
  let accounts = 0;

  return {
    config,
    base,
    core,
    app,
    lines,
    data,
    dataDir,
    port,
    issuer: config.issuer,
    /** Where this very process listens; the issuer, unless it stands beside another house. */
    origin: `http://localhost:${port}`,
    account,
    client,
    close,
  };

  /** An account with PASSWORD. */
  async function account(email = nextEmail(), name = 'Jane Developer') {
    return core.accounts.create({ email, name, password: PASSWORD }, systemMeta);
  }

  function nextEmail(): string {
    accounts += 1;
    return `person${accounts}@example.com`;
  }

  /** A client that an administrator made; with a secret unless it says `none`. */
  async function client(
    metadata: Record<string, unknown> = {},
    options: { firstParty?: boolean; pkceRequired?: boolean } = {},
  ) {
    const made = await core.clients.create(
      {
        metadata: {
          client_name: 'Acme',
          redirect_uris: ['https://acme.example/cb'],
          grant_types: ['authorization_code', 'refresh_token'],
          ...metadata,
        },
        ...options,
      },
      systemMeta,
    );
    return { id: made.client.id, secret: made.secret ?? '' };
  }

  async function close(): Promise<void> {
    await closeServer(server);
    await core.close();
    await base.close();
    if (sharedWith) return;
    await data.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Those that all houses share, unless there are some. */
async function giveKeys({ db, clock }: Base): Promise<void> {
  if ((await db.signingKey.count()) > 0) return;
  const createdAt = clock.now();
  await db.signingKey.createMany({
    data: inject('signingKeys').map((key) => ({ ...key, createdAt, signsFrom: createdAt })),
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
