/**
 * `signet doctor`: checks the settings and everything that the server depends on. Changes nothing.
 */
import { existsSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { openSettings } from '../base/config/open-settings.js';
import type { Config } from '../base/config.js';
import { ConfigError } from '../base/config.js';
import { parseDatabaseUrl } from '../base/db/open.js';
import { createSmtp, toLoggableError } from '../base/mail/smtp.js';
import { isLoopback } from '../kit/loopback.js';
import { type Cli, table, withExamples } from './command.js';
import { type CheckResult, fail, hasAccessForOthers, ok, warn } from './doctor-result.js';
import { checkDatabase, checkRedis } from './doctor-stores.js';
import { stageOf } from './keys.js';

const MIN_NODE_VERSION = [20, 19];
/** The oldest version that still gets security fixes. */
const SUPPORTED_NODE_MAJOR = 22;
const MIN_FREE_BYTES = 200e6;
const LOW_FREE_BYTES = 1e9;
const RESPONSE_TIMEOUT_MS = 3000;

/** Adds `signet doctor`. */
export function addDoctor(program: Command, cli: Cli): void {
  const command = program
    .command('doctor')
    .description('Checks the settings and everything that the server depends on. Exits with 1 if a check fails.')
    .summary('Checks the settings and everything that the server depends on.')
    // Has no effect. In earlier releases, it skipped the measurement of a start.
    .addOption(new Option('--skip-start').hideHelp())
    .action(
      cli.action(async () => {
        const results = [checkNode(), ...(await checkSettings(cli))];
        return {
          json: results,
          text: table(results.map(({ status, about, text }) => [status, about, text])),
          failed: results.some(({ status }) => status === 'fail'),
        };
      }),
    );
  withExamples(command, 'doctor', 'doctor --json');
}

/** Checks the settings and, if they are valid, what they refer to. */
async function checkSettings({ config: readConfig, open }: Cli): Promise<CheckResult[]> {
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.errors.map((message) => fail('settings', message));
  }
  const results = [
    checkIssuer(config),
    ...config.warnings.map((text) => warn('settings', text)),
    ...checkOpenSettings(config),
    checkSecret(config),
    checkDisk(config),
  ];
  const database = await checkDatabase(config);
  results.push(...database, ...(await checkRedis(config)), await checkMail(config));
  // The clock is checked only in a migrated database. Opening another one would migrate it.
  const isMigrated = database.some(({ about }) => about === 'clock');
  if (isMigrated && results.every(({ status }) => status !== 'fail'))
    results.push(await checkKeys(open), ...(await checkDefaultResource(config, open)));
  results.push(await checkServer(config));
  return results;
}

function checkNode(): CheckResult {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_NODE_VERSION;
  const advice = `install ${SUPPORTED_NODE_MAJOR} or later`;
  if (major < minMajor || (major === minMajor && minor < minMinor))
    return fail('node', `${process.version} is too old: ${advice}`);
  if (major < SUPPORTED_NODE_MAJOR)
    return warn('node', `${process.version} works, but no longer gets security fixes: ${advice}`);
  return ok('node', process.version);
}

function checkIssuer({ production, issuer }: Config): CheckResult {
  if (production && isLoopback(new URL(issuer).hostname))
    return warn('settings', `ISSUER is ${issuer}, which only this machine can reach`);
  return ok('settings', `${production ? 'production' : 'development'}, issuer ${issuer}`);
}

/** Names the settings that are open to visitors. They should be a choice in production. */
function checkOpenSettings(config: Config): CheckResult[] {
  const result = config.production ? warn : ok;
  return openSettings(config).map(({ setting, allows }) => result('settings', `${setting}: ${allows}`));
}

function checkSecret({ secret, dataDir }: Config): CheckResult {
  if (secret) return ok('secret', 'from SECRET');
  const path = join(dataDir, 'secret');
  if (!existsSync(path)) return warn('secret', `${path} does not exist yet: the first start creates it`);
  if (hasAccessForOthers(path)) return fail('secret', `other users can read ${path}: chmod 600 ${path}`);
  return ok('secret', `${path}, readable only by its owner`);
}

function checkDisk({ dataDir, databaseUrl }: Config): CheckResult {
  const target = parseDatabaseUrl(databaseUrl);
  let folder = target.provider === 'sqlite' ? dirname(target.path) : dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  const text = `${(freeBytes / 1e9).toFixed(1)} GB free at ${folder}`;
  if (freeBytes < MIN_FREE_BYTES) return fail('disk', `${text}: free some space, or writes will fail`);
  return freeBytes < LOW_FREE_BYTES ? warn('disk', `${text}: free some space`) : ok('disk', text);
}

/** Connects to the mail server and authenticates. Sends no e-mail. */
async function checkMail({ smtp: server, mailFrom: from, issuer, production, dataDir }: Config): Promise<CheckResult> {
  if (!server && production)
    return warn('mail', 'SMTP_URL is not set: no e-mail is sent, so users cannot reset their passwords');
  if (!server) return ok('mail', `not sent; see ${join(dataDir, 'outbox')} or ${issuer}/dev/outbox`);
  const address = `${server.host}:${server.port}`;
  const timeout = sleep(RESPONSE_TIMEOUT_MS, 'timeout', { ref: false });
  try {
    const timedOut = await Promise.race([
      createSmtp({ server, from, hostname: new URL(issuer).hostname }).verifyConnection(),
      timeout,
    ]);
    if (timedOut) return fail('mail', `${address} does not respond: check SMTP_URL and the firewall`);
    return ok('mail', `${address} accepts mail from ${from.address}`);
  } catch (error) {
    const { reason, smtpCode } = toLoggableError(error);
    return fail(
      'mail',
      `${address} does not accept mail (${[reason, smtpCode].filter(Boolean).join(' ')}); check SMTP_URL`,
    );
  }
}

async function checkKeys(open: Cli['open']): Promise<CheckResult> {
  try {
    const { core } = await open();
    const stages = (await core.keys.list()).map((key) => `${key.algorithm} ${key.kid.slice(0, 8)} ${stageOf(key)}`);
    return ok('keys', stages.join(', '));
  } catch (error) {
    return fail('keys', `${(error as Error).message}`);
  }
}

/** Warns if the default API is not registered, because clients then silently get opaque tokens. */
async function checkDefaultResource({ defaultResource: uri }: Config, open: Cli['open']): Promise<CheckResult[]> {
  if (uri === undefined) return [];
  const { core } = await open();
  if (core.resources.find(uri)) return [ok('resource', `${uri} is the default audience`)];
  return [warn('resource', `${uri} is not registered: signet resource create ${uri}, or check DEFAULT_RESOURCE`)];
}

async function checkServer({ issuer }: Config): Promise<CheckResult> {
  const url = `${issuer}/.well-known/openid-configuration`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS), redirect: 'manual' });
    if (!response.ok)
      return fail('server', `${url} responds with status ${response.status}: another program listens there`);
    const { issuer: actual } = (await response.json()) as { issuer?: string };
    if (actual !== issuer) return fail('server', `${url} has the issuer ${actual}: use the same ISSUER for both`);
    return ok('server', `${issuer} responds`);
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string } };
    const reason = cause?.code ?? message;
    if (reason === 'ECONNREFUSED') return warn('server', `the server is not running at ${issuer}`);
    return warn('server', `${issuer} cannot be reached from here (${reason}): check DNS, TLS and the proxy`);
  }
}
