// Measures password sign-ins beside bcrypt alone, which should be nearly all of their cost, and the
// response times of other requests while sign-ins use all cores.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, platform } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withServer } from './load.js';
import { probeUntil, type Saturated, saturate, seed } from './login/saturate.js';
import type { Bench } from './run.js';
import { median } from './start.js';

const ROUNDS = 3;
const LOGINS = 64;
const ALONE_SECONDS = 10;
const REST_MS = 5000;
const MIN_SHARE = 0.95;
const MAX_P99_MS = 50;
const ALONE = fileURLToPath(new URL('./login/alone.js', import.meta.url));
const RESULTS = fileURLToPath(new URL('../../test/bench/login.md', import.meta.url));
const SETTINGS = { TRUSTED_PROXIES: '127.0.0.0/8,::1' };

interface Alone {
  perSecond: number;
  cpuMicros: number;
}

interface Round {
  alone: Alone;
  logins: Saturated;
  /** Response times of another client meanwhile, sorted. */
  meanwhile: number[];
}

export const login: Bench = () => {
  let hash = '';
  return withServer(
    async (server) => {
      const atRest = await probeUntil(sleep(REST_MS), server.origin);
      const rounds: Round[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const alone = await measureAlone(hash);
        const logins = await saturate(server, LOGINS); // no other load: this measures logins alone
        rounds.push({ alone, logins, meanwhile: await probeUntil(saturate(server, LOGINS), server.origin) });
      }
      const figures = toFigures(rounds, atRest);
      writeFileSync(RESULTS, toMarkdown(figures));
      return figures;
    },
    {
      settings: SETTINGS,
      async seed(environment) {
        hash = await seed(environment);
      },
    },
  );
};

async function measureAlone(hash: string): Promise<Alone> {
  const { stdout } = await promisify(execFile)(process.execPath, [ALONE, hash, String(ALONE_SECONDS)]);
  return JSON.parse(stdout);
}

function toFigures(rounds: Round[], atRest: number[]): Record<string, string> {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick));
  const alone = of((round) => round.alone.perSecond);
  const signIns = of(({ logins }) => logins.perSecond);
  const share = of((round) => round.alone.cpuMicros / (round.logins.cpuMicros ?? Number.NaN));
  const p99 = of(({ meanwhile }) => percentile(meanwhile, 0.99));
  const milliseconds = (micros: number) => `${(micros / 1000).toFixed(1)} ms`;
  return {
    'bcrypt alone': `${alone.toFixed(2)}/s, ${milliseconds(of((round) => round.alone.cpuMicros))} of CPU time each`,
    'sign-ins': `${signIns.toFixed(2)}/s, ${((100 * signIns) / alone).toFixed(0)} % of bcrypt alone${formatCpuTime(rounds, milliseconds)}`,
    "bcrypt's share of the server's CPU time": Number.isNaN(share)
      ? `n/a: CPU time per process is not available on ${platform()}`
      : `${(100 * share).toFixed(1)} % (aim: at least ${100 * MIN_SHARE} %: ${verdict(share >= MIN_SHARE)})`,
    'a sign-in, p50/p99': `${of(({ logins }) => logins.p50Ms).toFixed(0)}/${of(({ logins }) => logins.p99Ms).toFixed(0)} ms`,
    'discovery without load, p50/p99': `${percentile(atRest, 0.5).toFixed(1)}/${percentile(atRest, 0.99).toFixed(1)} ms`,
    'discovery under full load, p50/p99': `${of(({ meanwhile }) => percentile(meanwhile, 0.5)).toFixed(1)}/${p99.toFixed(1)} ms (aim: p99 below ${MAX_P99_MS} ms: ${verdict(p99 < MAX_P99_MS)})`,
  };
}

function formatCpuTime(rounds: Round[], format: (micros: number) => string): string {
  const all = rounds.flatMap(({ logins }) => logins.cpuMicros ?? []);
  return all.length === rounds.length ? `, ${format(median(all))} of CPU time each` : '';
}

const percentile = (sorted: number[], share: number) => sorted[Math.floor(sorted.length * share)]!;

const verdict = (met: boolean) => (met ? 'met' : 'missed');

function toMarkdown(figures: Record<string, string>): string {
  return `# Password sign-ins

Written by \`npm run bench -- login\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${cpus().length} cores, load ${loadavg()[1]!.toFixed(1)}
(on a busy machine, the figures in milliseconds mean little).

Requests to \`/api/v1/auth/login-json\` with correct passwords, 32 in flight, on SQLite as \`npm start\` runs it, with all rate limits
and the default cost. They run in turns with a process that only computes bcrypt, with the same concurrency: ${ROUNDS} rounds of
${LOGINS} sign-ins, the median of each. The client shares the machine.

| | |
| --- | --- |
${Object.entries(figures)
  .map(([name, value]) => `| ${name} | ${value} |`)
  .join('\n')}
`;
}
