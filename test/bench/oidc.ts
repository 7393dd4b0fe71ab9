// Compares the CPU time per request of Signet with that of bare oidc-provider, which does nothing
// but the protocol. Both run in turns (A B A B); the result is the median of all rounds.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CASES, type Case } from './oidc/cases.js';
import { type Measured, measure } from './oidc/measure.js';
import { openSides, type Side } from './oidc/sides.js';
import type { Bench } from './run.js';
import { median } from './start.js';

const ROUNDS = 3;
/** Rounds until V8 has compiled the code of a case. */
const WARM_ROUNDS = 2;
const RESULTS = fileURLToPath(new URL('../../test/bench/results.md', import.meta.url));

interface Row {
  name: string;
  aim: number;
  ratio: number | undefined;
  bare: Measured;
  signet: Measured;
}

/** Runs all cases and writes results.md. */
export const oidc: Bench = async () => {
  const rows = await compareAll(CASES);
  writeFileSync(RESULTS, toMarkdown(rows));
  return toFigures(rows);
};

/** The cases by their command line argument. */
export const oidcCases: Record<string, Bench> = Object.fromEntries(
  CASES.map(({ argument }) => [
    argument,
    async () => toFigures(await compareAll(CASES.filter((one) => one.argument === argument))),
  ]),
);

async function compareAll(cases: Case[]): Promise<Row[]> {
  const sides = await openSides();
  try {
    const rows: Row[] = [];
    for (const one of cases) rows.push(await compare(one, sides.all[one.bare], sides.all[one.signet]));
    return rows;
  } finally {
    await sides.close();
  }
}

async function compare({ name, aim, requests, inFlight, prepare }: Case, bare: Side, signet: Side): Promise<Row> {
  const rounds: Record<'bare' | 'signet', Measured[]> = { bare: [], signet: [] };
  const sides = { bare, signet };
  const ready = { bare: await prepare(bare, inFlight), signet: await prepare(signet, inFlight) };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const which of ['bare', 'signet'] as const) {
      const count = round === 0 ? requests * WARM_ROUNDS : requests;
      const sendOne = await ready[which](count);
      const measured = await measure(sides[which].pid, { requests: count, inFlight, sendOne });
      if (round > 0) rounds[which].push(measured);
    }
  }
  const [bareMedians, signetMedians] = [medians(rounds.bare), medians(rounds.signet)];
  const ratio = bareMedians.cpuMicros && signetMedians.cpuMicros && signetMedians.cpuMicros / bareMedians.cpuMicros;
  return { name, aim, ratio, bare: bareMedians, signet: signetMedians };
}

function medians(rounds: Measured[]): Measured {
  const of = (pick: (one: Measured) => number) => median(rounds.map(pick));
  return {
    cpuMicros: rounds[0]!.cpuMicros === undefined ? undefined : of(({ cpuMicros }) => cpuMicros!),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
  };
}

const HEAD = ['CPU bare', 'CPU Signet', 'ratio', 'aim', 'p50/p99 bare', 'p50/p99 Signet', ''];

function cellsOf({ aim, ratio, bare, signet }: Row): string[] {
  const cpu = ({ cpuMicros }: Measured) => (cpuMicros === undefined ? 'n/a' : `${Math.round(cpuMicros)} µs`);
  const times = ({ p50Ms, p99Ms }: Measured) => `${p50Ms.toFixed(1)}/${p99Ms.toFixed(1)} ms`;
  const verdict = ratio === undefined ? '' : ratio <= aim ? 'met' : 'missed';
  return [cpu(bare), cpu(signet), ratio?.toFixed(2) ?? 'n/a', `≤ ${aim}`, times(bare), times(signet), verdict];
}

function toFigures(rows: Row[]): Record<string, string> {
  const line = (cells: string[]) => cells.map((cell, n) => cell.padStart(n < 4 ? 9 : n < 6 ? 14 : 7)).join(' ');
  return {
    '': line(HEAD),
    ...Object.fromEntries(rows.map((row) => [row.name, line(cellsOf(row))])),
    ...(rows.some(({ ratio }) => ratio === undefined) && { note: NO_CPU_TIME }),
  };
}

const NO_CPU_TIME = `CPU time per process is not available on ${platform()}, only on Linux.`;

function toMarkdown(rows: Row[]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return `# Signet beside bare oidc-provider

Written by \`npm run bench -- oidc\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${cpus().length} cores, load ${loadavg()[1]!.toFixed(1)}
(on a busy machine every request costs more, and small differences mean nothing).
${rows.some(({ ratio }) => ratio === undefined) ? `${NO_CPU_TIME}\n` : ''}
CPU time of the server process per request; p50 and p99 as measured by the client, which shares the machine. Both sides run in
turns: ${WARM_ROUNDS} rounds to warm up, then the median of ${ROUNDS}. Signet runs as in the container, with all rate limits, on PostgreSQL and
Redis. Bare oidc-provider runs on Redis, unless the case says otherwise, with a minimal adapter that redeems codes once, and without
rate limits, log, audit log, accounts, consents or revocable sessions.

${line(['', ...HEAD])}
${line(['---', ...HEAD.map(() => '--:')])}
${rows.map((row) => line([row.name, ...cellsOf(row)])).join('\n')}
`;
}
