/**
 * doctor: looks at everything the server stands on and says what to do where something is wrong.
 * Changes nothing.
 */
import { existsSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../base/config.js';
import { ConfigError } from '../base/config.js';
import { pendingMigrations } from '../base/db/migrate.js';
import { type Database, openDatabase, Prisma, parseUrl } from '../base/db/open.js';
import { isLoopback } from '../base/loopback.js';
import { createSmtp, deliveryError } from '../base/mail/smtp.js';
import { type Command, type CommandContext, table } from './command.js';
import { AIMS, measureStarts } from './measure-start.js';
import { stageOf } from './operations.js';

interface CheckResult {
  status: 'ok' | 'warn' | 'fail';
  description: string;
  text: string;
}

const OLDEST_NODE = [20, 19];
const MIN_FREE_BYTES = 200e6;
const LOW_FREE_BYTES = 1e9;
const MAX_SKEW_MS = 2000;
const RESPONSE_TIMEOUT_MS = 3000;
const GROUP_OR_OTHER_BITS = 0o077;

export const doctor: Command = {
  name: 'doctor',
  description: 'Checks what the server stands on, and measures how it starts. Ends with 1 when something fails.',
  options: { 'skip-start': { type: 'boolean', description: 'do not start a server to measure it' } },
  async run(args, surroundings) {
    const findings = [node(), ...(await ofSettings(surroundings))];
    if (!args.has('skip-start')) findings.push(...(await start()));
    const bad = findings.some(({ status }) => status === 'fail');
    return {
      json: findings,
      text: table(findings.map(({ status, description, text }) => [status, description, text])),
      bad,
    };
  },
};

async function ofSettings({ config: read, open }: CommandContext): Promise<CheckResult[]> {
  let config: Config;
  try {
    config = read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.errors.map((problem) => fail('settings', problem));
  }
  const findings = [
    settings(config),
    ...config.warnings.map((text) => warn('settings', text)),
    secretFile(config),
    disk(config),
  ];
  const stores = await database(config);
  findings.push(...stores, ...(await redis(config)), await mail(config));
  if (findings.every(({ status }) => status !== 'fail') && stores.some(({ description }) => description === 'clock'))
    findings.push(await keys(open), ...(await defaultResource(config, open)));
  findings.push(await server(config));
  return findings;
}

function node(): CheckResult {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    return fail('node', `${process.version} is too old: install 22 or later`);
  if (major < 22) return warn('node', `${process.version} works, but gets no more security fixes: install 22 or later`);
  return ok('node', process.version);
}

function settings({ production, issuer }: Config): CheckResult {
  if (production && isLoopback(new URL(issuer).hostname))
    return warn('settings', `ISSUER is ${issuer}: only this machine can reach it`);
  return ok('settings', `${production ? 'production' : 'development'}, issuer ${issuer}`);
}

function secretFile({ secret, dataDir }: Config): CheckResult {
  if (secret) return ok('secret', 'from SECRET');
  const path = join(dataDir, 'secret');
  if (!existsSync(path)) return warn('secret', `${path} is not there yet: the first start makes it`);
  if (statSync(path).mode & GROUP_OR_OTHER_BITS) return fail('secret', `others may read ${path}: chmod 600 ${path}`);
  return ok('secret', `${path}, readable by its owner only`);
}

function disk({ dataDir, databaseUrl }: Config): CheckResult {
  const target = parseUrl(databaseUrl);
  let folder = target.provider === 'sqlite' ? dirname(target.path) : dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const text = `${(free / 1e9).toFixed(1)} GB free at ${folder}`;
  if (free < MIN_FREE_BYTES) return fail('disk', `${text}: make room, or writes will fail`);
  return free < LOW_FREE_BYTES ? warn('disk', `${text}: make room`) : ok('disk', text);
}

async function database({ databaseUrl }: Config): Promise<CheckResult[]> {
  const target = parseUrl(databaseUrl);
  const place = target.provider === 'sqlite' ? `SQLite at ${target.path}` : `PostgreSQL at ${new URL(target.url).host}`;
  if (target.provider === 'sqlite' && !existsSync(target.path))
    return [warn('database', `${place} is not there yet: the first start makes it`)];
  try {
    const pending = await pendingMigrations(databaseUrl);
    if (pending.length > 0)
      return [warn('database', `${place} lacks ${pending.join(', ')}: the next start of the server applies it`)];
    const db = await openDatabase(databaseUrl, { poolSize: 1 });
    try {
      const strange = await modelsThatDiffer(db);
      if (strange.length > 0)
        return [
          fail(
            'database',
            `${place} differs from this version in ${strange.join(', ')}: undo what was changed by hand`,
          ),
        ];
      const migrated =
        target.provider === 'sqlite' && isReadableByOthers(target.path)
          ? warn('database', `others may read ${target.path}: chmod 600 ${target.path}`)
          : ok('database', `${place}, migrated`);
      return [migrated, await clock(db, target.provider)];
    } finally {
      await db.$disconnect();
    }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return [fail('database', `${place}: ${message || code}; check DATABASE_URL, and that it runs`)];
  }
}

/**
 * A copy that was put back has the mode that `cp` gave it; in a folder of its owner's nobody else
 * comes to it.
 */
const isReadableByOthers = (path: string) =>
  [path, dirname(path)].every((place) => (statSync(place).mode & GROUP_OR_OTHER_BITS) !== 0);

/**
 * Asks every model for all its columns: cheap, and a column or table that is missing is refused.
 */
async function modelsThatDiffer(db: Database): Promise<string[]> {
  const differing: string[] = [];
  for (const model of Object.values(Prisma.ModelName)) {
    const table = (db as unknown as Record<string, { findFirst(): Promise<unknown> }>)[
      model[0]!.toLowerCase() + model.slice(1)
    ]!;
    await table.findFirst().catch(() => differing.push(model));
  }
  return differing;
}

async function clock(db: Database, provider: 'sqlite' | 'postgresql'): Promise<CheckResult> {
  if (provider === 'sqlite') return ok('clock', 'the database has the clock of this machine');
  const asked = Date.now();
  const [row] = await db.$queryRaw<
    { ms: number }[]
  >`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms`;
  const skewMs = Math.round(Number(row?.ms) - (asked + Date.now()) / 2);
  if (Math.abs(skewMs) > MAX_SKEW_MS)
    return fail('clock', `${skewMs} ms away from the database's: let both follow the same time server`);
  return ok('clock', `${skewMs} ms from the database's`);
}

async function redis({ redisUrl, databaseUrl, processes }: Config): Promise<CheckResult[]> {
  if (!redisUrl) {
    const alone = parseUrl(databaseUrl).provider === 'sqlite' || processes === 1;
    return [ok('redis', alone ? 'none, and none is needed' : 'none: short-lived state lives in PostgreSQL')];
  }
  const warnings: string[] = [];
  const note = (...words: unknown[]) => void warnings.push(String(words.at(-1)));
  const { closeRedis, openRedis } = await import('../base/redis.js');
  try {
    await closeRedis(await openRedis(redisUrl, { log: { info: () => {}, warn: note } as never }));
  } catch (error) {
    return [fail('redis', `${(error as Error).message}; check REDIS_URL`)];
  }
  return [warnings[0] ? warn('redis', warnings[0]) : ok('redis', `${new URL(redisUrl).host}, evicts nothing`)];
}

/** Greets the mail server and signs in there. No mail is sent. */
async function mail({ smtp: server, mailFrom: from, issuer, production, dataDir }: Config): Promise<CheckResult> {
  if (!server && production)
    return warn('mail', 'SMTP_URL is not set: no mail is sent, and nobody can ask for a new password');
  if (!server) return ok('mail', `none is sent; look into ${join(dataDir, 'outbox')}, or at ${issuer}/dev/outbox`);
  const place = `${server.host}:${server.port}`;
  const slow = sleep(RESPONSE_TIMEOUT_MS, 'ETIMEDOUT', { ref: false });
  try {
    const late = await Promise.race([createSmtp({ server, from, hostname: new URL(issuer).hostname }).check(), slow]);
    if (late) return fail('mail', `${place} does not answer: check SMTP_URL, and that nothing stands between`);
    return ok('mail', `${place} takes mails from ${from.address}`);
  } catch (error) {
    const { reason, status } = deliveryError(error);
    return fail('mail', `${place} takes no mails (${[reason, status].filter(Boolean).join(' ')}); check SMTP_URL`);
  }
}

async function keys(open: CommandContext['open']): Promise<CheckResult> {
  try {
    const { core } = await open();
    const stages = (await core.keys.list()).map((key) => `${key.algorithm} ${key.kid.slice(0, 8)} ${stageOf(key)}`);
    return ok('keys', stages.join(', '));
  } catch (error) {
    return fail('keys', `${(error as Error).message}`);
  }
}

/**
 * Where the setting names an API that is not there, apps get opaque tokens, and nobody is told why.
 */
async function defaultResource({ defaultResource: uri }: Config, open: CommandContext['open']): Promise<CheckResult[]> {
  if (uri === undefined) return [];
  const { core } = await open();
  if (core.resources.find(uri)) return [ok('resource', `${uri} is what apps mean that name no API`)];
  return [warn('resource', `${uri} is not registered: npm run cli -- resource create ${uri}; check DEFAULT_RESOURCE`)];
}

async function server({ issuer }: Config): Promise<CheckResult> {
  const url = `${issuer}/.well-known/openid-configuration`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS), redirect: 'manual' });
    if (!response.ok) return fail('server', `${url} answers ${response.status}: something else listens there`);
    const { issuer: told } = (await response.json()) as { issuer?: string };
    if (told !== issuer) return fail('server', `${url} says that it is ${told}: set ISSUER alike, here and there`);
    return ok('server', `${issuer} answers`);
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string } };
    const reason = cause?.code ?? message;
    if (reason === 'ECONNREFUSED') return warn('server', `nothing listens at ${issuer}: the server is not running`);
    return warn('server', `${issuer} cannot be reached from here (${reason}): check DNS, TLS and the proxy`);
  }
}

async function start(): Promise<CheckResult[]> {
  try {
    const { first, second } = await measureStarts();
    const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    return [
      judge('first start', first.readyMs, AIMS.firstReadyMs, seconds),
      judge('next start', second.readyMs, AIMS.secondReadyMs, seconds),
      judge('idle memory', second.idleBytes, AIMS.idleBytes, megabytes),
    ];
  } catch (error) {
    return [fail('start', `${(error as Error).message}: run npm start and read what it says`)];
  }
}

/** Slower than aimed at is not broken. */
function judge(description: string, value: number, aim: number, format: (value: number) => string): CheckResult {
  const text = `${format(value)}, at most ${format(aim)} aimed at`;
  return value <= aim
    ? ok(description, text)
    : warn(description, `${text}: this machine is busy, slow, or short of memory`);
}

const ok = (description: string, text: string): CheckResult => ({ status: 'ok', description, text });
const warn = (description: string, text: string): CheckResult => ({ status: 'warn', description, text });
const fail = (description: string, text: string): CheckResult => ({ status: 'fail', description, text });
