/**
 * Starts the server: config → base → core → app → listen. SIGTERM closes everything in reverse
 * order.
 */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';
import { AppError } from './base/app-error.js';
import { openBase } from './base/base.js';
import { isFirstProcess, superviseProcesses } from './base/cluster.js';
import { openSettings } from './base/config/open-settings.js';
import { type Config, ConfigError, loadEnvFile, readConfig } from './base/config.js';
import { createLog, type Log } from './base/log.js';
import { createCore } from './core/core.js';

/** Time after which connections with pending responses are closed. */
const DRAIN_TIMEOUT_MS = 10_000;
/** Time after which a stopping process exits, even if its stores are still open. */
const STOP_TIMEOUT_MS = DRAIN_TIMEOUT_MS + 5000;
const MAX_HEADER_BYTES = 32 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;

async function main(): Promise<void> {
  // A closed pipe must not stop the server.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  loadEnvFile();
  const config = await withFreePort(readConfig());
  const log = createLog(config.logLevel);
  if (cluster.isPrimary) for (const warning of config.warnings) log.warn(warning);
  if (config.processes === 1 || cluster.isWorker) return serve(config, log);
  const environment = { PORT: String(config.port), ISSUER: config.issuer };
  const started = await superviseProcesses({
    count: config.processes,
    environment,
    stopTimeoutMs: STOP_TIMEOUT_MS,
    log,
  });
  if (!started) process.exitCode = 1;
}

async function serve(config: Config, log: Log): Promise<void> {
  process.on('uncaughtException', (error) => {
    log.fatal({ error }, 'uncaught exception');
    process.exit(1);
  });
  const base = await openBase(config, { log });
  const core = await createCore(base);
  if (isFirstProcess() && config.bootstrapAdmin) await createFirstAdmin(config.bootstrapAdmin);
  const app = await createApp(base, core);
  const server = createHttpServer(config, app.handle);
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
  await listen(server, config);
  core.cleanup.start();
  if (!isFirstProcess()) return;

  log.info(
    {
      issuer: config.issuer,
      port: config.port,
      database: /^file:/.test(config.databaseUrl) ? 'SQLite' : 'PostgreSQL',
      redis: Boolean(config.redisUrl),
      discovery: `${config.issuer}/.well-known/openid-configuration`,
      readyAfterMs: Math.round(performance.now()),
      memoryMb: Math.round(process.memoryUsage.rss() / 1e6),
    },
    'listening',
  );
  for (const open of openSettings(config)) log[config.production ? 'warn' : 'info'](open, 'open to visitors');
  await printSetupLink();

  async function createFirstAdmin(admin: { email: string; password: string }): Promise<void> {
    try {
      if (await core.bootstrap.bootstrap(admin)) log.info('created the first administrator');
    } catch (error) {
      if (!(error instanceof AppError) || !error.fields) throw error;
      const errors = Object.entries(error.fields).map(
        ([field, message]) => `BOOTSTRAP_ADMIN_${field.toUpperCase()}: ${message}`,
      );
      throw new Error(errors.join(' '), { cause: error });
    }
  }

  /**
   * Prints a setup link if no administrator exists. To the terminal, because it must not be logged.
   */
  async function printSetupLink(): Promise<void> {
    const token = await core.bootstrap.createToken();
    if (!token) return;
    process.stderr.write(
      `\nNo administrator exists yet. Create one within a day, at:\n  ${config.issuer}/setup?token=${token}\n\n`,
    );
  }

  /** Stops accepting connections, waits for pending responses, closes the stores, and exits. */
  async function stop(signal: string): Promise<void> {
    if (stopping) return; // a terminal and npm can both send the signal
    stopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.error('a store did not close in time; exiting');
      process.exit(1);
    }, STOP_TIMEOUT_MS).unref();
    await drain(server);
    await core.close();
    await base.close();
    log.info('stopped');
    process.exit(0);
  }
}

/**
 * Creates the server: HTTPS if a certificate is configured. Clients can present certificates. TLS
 * verifies possession of the key; client authentication verifies the issuer. A certificate of an
 * unknown issuer does not close the connection.
 */
function createHttpServer({ certificates: { tls } }: Config, handle: RequestListener): Server {
  const options = { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS };
  if (!tls) return createServer(options, handle);
  try {
    const [cert, key] = [readFileSync(tls.certificateFile), readFileSync(tls.keyFile)];
    return createTlsServer({ ...options, cert, key, requestCert: true, rejectUnauthorized: false }, handle);
  } catch (cause) {
    const message = `TLS_CERT_FILE and TLS_KEY_FILE cannot be used: ${(cause as Error).message}`;
    throw new Error(message, { cause });
  }
}

function listen(server: Server, { port, host }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(messageOf(error), { cause: error })));
    server.listen(port, host);
  });

  function messageOf({ code, message }: NodeJS.ErrnoException): string {
    if (code === 'EADDRINUSE') return `port ${port} is in use; set PORT to a free port, or stop the other program`;
    if (code === 'EACCES') return `this user cannot open port ${port}; set PORT to a port above 1023`;
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `HOST ${host} is not an address of this machine`;
    return message;
  }
}

/** Closes the server and waits for pending responses, up to a limit. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  // Repeated, because connections become idle when their response is sent.
  const idleTimer = setInterval(() => server.closeIdleConnections(), 50);
  const deadline = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT_MS);
  await closed;
  clearInterval(idleTimer);
  clearTimeout(deadline);
}

/** Replaces PORT=0 by a free port, because the issuer contains it and services need the issuer. */
async function withFreePort(config: Config): Promise<Config> {
  if (config.port !== 0) return config;
  const probe = createServer();
  await listen(probe, config);
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return { ...config, port, issuer: config.issuer.replace(/:0$/, `:${port}`) };
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : `Signet cannot start: ${(error as Error).message}`}\n`,
  );
  process.exit(1);
});
