// What this server spends on each request of OAuth and OpenID Connect beside bare oidc-provider,
// which does nothing but the protocol: CPU time of the server's process, in turns (A B A B), the
// median of all rounds.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CASES, type Case } from './oidc/cases.js';
import { type Measured, measure } from './oidc/measure.js';
import { openSides, type Side } from './oidc/sides.js';
import type { Bench } from './run.js';
import { median } from './start.js';

const ROUNDS = 3;
/**
 * Until V8 has compiled what it will, whatever was asked of this server before: some are new to a
 * case, some are not.
 */
const WARM_ROUNDS = 2;
const RESULTS = fileURLToPath(new URL('../../test/bench/results.md', import.meta.url));

interface Row {
  name: string;
  aim: number;
  ratio: number | undefined;
  bare: Measured;
  ours: Measured;
}

/** All cases; what they say is kept beside this file. */
export const oidc: Bench = async () => {
  const rows = await compareAll(CASES);
  writeFileSync(RESULTS, toMarkdown(rows));
  return toFigures(rows);
};

/** Some of them, by their word. */
export const oidcCases: Record<string, Bench> = Object.fromEntries(
  CASES.map(({ word }) => [word, async () => toFigures(await compareAll(CASES.filter((one) => one.word === word)))]),
);

async function compareAll(cases: Case[]): Promise<Row[]> {
  const sides = await openSides();
  try {
    const rows: Row[] = [];
    for (const one of cases) rows.push(await compare(one, sides.all[one.bare], sides.all[one.ours]));
    return rows;
  } finally {
    await sides.close();
  }
}

async function compare({ name, aim, requests, inFlight, prepare }: Case, bare: Side, ours: Side): Promise<Row> {
  const rounds: Record<'bare' | 'ours', Measured[]> = { bare: [], ours: [] };
  const sides = { bare, ours };
  const ready = { bare: await prepare(bare, inFlight), ours: await prepare(ours, inFlight) };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const which of ['bare', 'ours'] as const) {
      const count = round === 0 ? requests * WARM_ROUNDS : requests;
      const once = await ready[which](count);
      const measured = await measure(sides[which].pid, { requests: count, inFlight, once });
      if (round > 0) rounds[which].push(measured);
    }
  }
  const [ofBare, ofOurs] = [medians(rounds.bare), medians(rounds.ours)];
  const ratio = ofBare.cpuMicros && ofOurs.cpuMicros && ofOurs.cpuMicros / ofBare.cpuMicros;
  return { name, aim, ratio, bare: ofBare, ours: ofOurs };
}

function medians(rounds: Measured[]): Measured {
  const of = (pick: (one: Measured) => number) => median(rounds.map(pick));
  return {
    cpuMicros: rounds[0]!.cpuMicros === undefined ? undefined : of(({ cpuMicros }) => cpuMicros!),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
  };
}

const HEAD = ['CPU bare', 'CPU ours', 'ratio', 'aim', 'p50/p99 bare', 'p50/p99 ours', ''];

function cellsOf({ aim, ratio, bare, ours }: Row): string[] {
  const cpu = ({ cpuMicros }: Measured) => (cpuMicros === undefined ? 'n/a' : `${Math.round(cpuMicros)} µs`);
  const times = ({ p50Ms, p99Ms }: Measured) => `${p50Ms.toFixed(1)}/${p99Ms.toFixed(1)} ms`;
  const verdict = ratio === undefined ? '' : ratio <= aim ? 'met' : 'missed';
  return [cpu(bare), cpu(ours), ratio?.toFixed(2) ?? 'n/a', `≤ ${aim}`, times(bare), times(ours), verdict];
}

function toFigures(rows: Row[]): Record<string, string> {
  const line = (cells: string[]) => cells.map((cell, n) => cell.padStart(n < 4 ? 9 : n < 6 ? 14 : 7)).join(' ');
  return {
    '': line(HEAD),
    ...Object.fromEntries(rows.map((row) => [row.name, line(cellsOf(row))])),
    ...(rows.some(({ ratio }) => ratio === undefined) && { note: NO_CPU_TIME }),
  };
}

const NO_CPU_TIME = `CPU time is not available on ${platform()}: only Linux tells it by process. The times remain.`;

function toMarkdown(rows: Row[]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return `# Beside bare oidc-provider

Written by \`npm run bench -- oidc\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${cpus().length} cores, load ${loadavg()[1]!.toFixed(1)}
(a machine with more to do than cores makes every request dearer, and small differences meaningless).
${rows.some(({ ratio }) => ratio === undefined) ? `${NO_CPU_TIME}\n` : ''}
CPU time of the server's process for each request; p50 and p99 as the client saw them, who shares the machine. Both sides in
turns, ${ROUNDS} rounds after as many requests as in ${WARM_ROUNDS} to warm up, the median of each. Ours as the container runs it, with all its limits, on PostgreSQL and
Redis; bare oidc-provider on Redis, unless the case says otherwise, with a minimal adapter that redeems once, without limits, log,
audit trail, accounts, consents or logins that can be ended.

${line(['', ...HEAD])}
${line(['---', ...HEAD.map(() => '--:')])}
${rows.map((row) => line([row.name, ...cellsOf(row)])).join('\n')}
`;
}
