// Starts a server in this process as main.ts does, on a real store and a free port. Keeps its log
// lines.

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
import { systemMeta } from '../../src/base/request-meta.js';
import { createCore } from '../../src/core/core.js';
import { SECRET } from './signing-keys.js';
import { type OpenStore, type Store, stores } from './stores.js';

export type TestServer = Awaited<ReturnType<typeof startServer>>;

export interface TestServerOptions {
  store?: Store;
  /** Another server whose store, data folder and issuer this one shares. */
  sharedWith?: { data: OpenStore; dataDir: string; issuer: string };
  settings?: Record<string, string>;
  clock?: Clock;
  /** Wraps the stores of the server, such as outage.ts does. */
  wrapBase?: (base: Base) => Base;
}

export const PASSWORD = 'correct horse battery';

/** Starts a server. `settings` are environment variables. Close it at the end. */
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
    // Tests send more requests than the limits allow. Tests of the limits set their own.
    RATE_LIMIT_ANONYMOUS: '0',
    RATE_LIMIT_HUMAN: '0',
    RATE_LIMIT_AGENT: '0',
    RATE_LIMIT_DEFAULT: '0',
    ...settings,
  });
  const log = createLog(config.logLevel, { write: (line) => lines.push(line) });
  const base = wrapBase(await openBase(config, { log, clock }));
  if (config.secret === SECRET) await insertSigningKeys(base);
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
    /** The address of this server. Differs from the issuer if the store is shared. */
    origin: `http://localhost:${port}`,
    account,
    client,
    close,
  };

  /** Creates an account with PASSWORD. */
  async function account(email = nextEmail(), name = 'Jane Developer') {
    return core.accounts.create({ email, name, password: PASSWORD }, systemMeta);
  }

  function nextEmail(): string {
    accounts += 1;
    return `user${accounts}@example.com`;
  }

  /** Creates a client as an administrator. It has a secret unless its method is `none`. */
  async function client(
    metadata: Record<string, unknown> = {},
    options: { firstParty?: boolean; pkceRequired?: boolean } = {},
  ) {
    const { client, secret } = await core.clients.create(
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
    return { id: client.id, secret: secret ?? '' };
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

/** Inserts the shared signing keys, unless the store has some. */
async function insertSigningKeys({ db, clock }: Base): Promise<void> {
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
