/** Starts the server: config → base → core → app → listen. On SIGTERM it closes in reverse. */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';
import { AppError } from './base/app-error.js';
import { openBase } from './base/base.js';
import { isFirstProcess, superviseProcesses } from './base/cluster.js';
import { type Config, ConfigError, loadEnvFile, readConfig } from './base/config.js';
import { createLog, type Log } from './base/log.js';
import { createCore } from './core/core.js';

/** Answers that are under way get this long; the stores then a little more. */
const DRAIN_MS = 10_000;
const STOP_TIMEOUT_MS = DRAIN_MS + 5000;
const MAX_HEADER_BYTES = 32 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;

async function main(): Promise<void> {
  // Whoever read them may have left: that is no reason to let nobody in.
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
    log.fatal({ error }, 'a bug ended the process');
    process.exit(1);
  });
  const base = await openBase(config, { log });
  const core = await createCore(base);
  if (isFirstProcess() && config.bootstrapAdmin) await makeAdmin(config.bootstrapAdmin);
  const app = await createApp(base, core);
  const server = makeServer(config, app.handle);
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
  await offerSetup();

  async function makeAdmin(admin: { email: string; password: string }): Promise<void> {
    try {
      if (await core.bootstrap.bootstrap(admin)) log.info('the first administrator was made');
    } catch (error) {
      if (!(error instanceof AppError) || !error.fields) throw error;
      const errors = Object.entries(error.fields).map(
        ([field, problem]) => `BOOTSTRAP_ADMIN_${field.toUpperCase()}: ${problem}`,
      );
      throw new Error(errors.join(' '), { cause: error });
    }
  }

  /** A link for whoever can read this terminal, and nobody else: so it goes around the log. */
  async function offerSetup(): Promise<void> {
    const token = await core.bootstrap.createToken();
    if (!token) return;
    process.stderr.write(
      `\nThere is no administrator yet. Make one here, once, within a day:\n  ${config.issuer}/setup?token=${token}\n\n`,
    );
  }

  /** Finishes what was begun: no new connections, the answers under way, then the stores. */
  async function stop(signal: string): Promise<void> {
    if (stopping) return; // a terminal and npm may both send it
    stopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.error('a store does not let go: stopped without it');
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
 * Speaks https itself where it was given a certificate. Clients may show theirs then: TLS proves
 * that they hold its key, and who stands behind it is asked where it matters, so that a certificate
 * of nobody's does not end the connection.
 */
function makeServer({ certificates: { tls } }: Config, handle: RequestListener): Server {
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
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(sentence(error), { cause: error })));
    server.listen(port, host);
  });

  function sentence({ code, message }: NodeJS.ErrnoException): string {
    if (code === 'EADDRINUSE') return `port ${port} is taken; set PORT to a free one, or stop what listens there`;
    if (code === 'EACCES') return `port ${port} may not be opened by this user; set PORT to one above 1023`;
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `HOST ${host} is not an address of this machine`;
    return message;
  }
}

/** Takes no new connections and waits for the answers under way, but not for ever. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  const sweeping = setInterval(() => server.closeIdleConnections(), 50); // also those that an answer just left idle
  const patience = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await closed;
  clearInterval(sweeping);
  clearTimeout(patience);
}

/** The issuer must be known before anything is built, so with PORT=0 the port is found first. */
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
