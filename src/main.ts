/** Starts the server: config → base → core → app → listen. On SIGTERM it closes in reverse. */
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createApp } from './app.js';
import { openBase } from './base/base.js';
import { type Config, ConfigError, readConfig } from './base/config.js';
import { createLog } from './base/log.js';
import { createCore } from './core/core.js';

const DRAIN_MS = 10_000;

async function serve(config: Config): Promise<void> {
  const log = createLog(config.logLevel);
  const base = await openBase(config, { log });
  const core = await createCore(base);
  if (config.bootstrapAdmin && (await core.setup.bootstrap(config.bootstrapAdmin)))
    log.info('the first administrator was made');
  const app = await createApp(base, core);
  const server = createServer({ maxHeaderSize: 32 * 1024, requestTimeout: 30_000 }, app.handle);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(config.port, config.host, resolve);
  });
  core.housekeeping.start();

  const address = server.address() as { port: number };
  log.info(
    {
      issuer: config.issuer,
      port: address.port,
      database: /^file:/.test(config.databaseUrl) ? 'SQLite' : 'PostgreSQL',
      redis: Boolean(config.redisUrl),
      discovery: `${config.issuer}/.well-known/openid-configuration`,
      readyAfterMs: Math.round(performance.now()),
      memoryMb: Math.round(process.memoryUsage.rss() / 1e6),
    },
    'listening',
  );
  if (isFirst()) await offerSetup();

  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop(signal));

  /** A link for whoever can read this terminal, and nobody else: so it goes around the log. */
  async function offerSetup(): Promise<void> {
    const token = await core.setup.makeToken();
    if (!token) return;
    process.stderr.write(
      `\nThere is no administrator yet. Make one here, once, within a day:\n  ${config.issuer}/setup?token=${token}\n\n`,
    );
  }

  /** Finishes what was begun: no new connections, the answers under way, then the stores. */
  async function stop(signal: string): Promise<void> {
    log.info({ signal }, 'stopping');
    const patience = setTimeout(() => server.closeAllConnections(), DRAIN_MS).unref();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    await closed;
    clearTimeout(patience);
    await core.housekeeping.stop();
    await app.settle();
    await core.audit.flush();
    await base.close();
    log.info('stopped');
    process.exit(0);
  }
}

/** Several processes share one port; the first of them does what only one should. */
function isFirst(): boolean {
  return cluster.isPrimary || cluster.worker?.id === 1;
}

async function main(): Promise<void> {
  const config = readConfig();
  if (config.processes === 1 || cluster.isWorker) return serve(config);
  for (let i = 0; i < config.processes; i += 1) cluster.fork();
  let stopping = false;
  cluster.on('exit', (worker, code) => {
    // One that never got to listen would only fail again.
    if (!stopping && code !== 0 && worker.isConnected() === false && worker.exitedAfterDisconnect === false)
      cluster.fork();
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      stopping = true;
      for (const worker of Object.values(cluster.workers ?? {})) worker?.kill(signal);
    });
  }
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : `Signet cannot start: ${(error as Error).message}`}\n`,
  );
  process.exit(1);
});
