// Compares the CPU time of a credential validation by a tool with that of a Koa route that returns
// a constant. Both run in turns; the result is the median of all rounds.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { openBase } from '../../dist/base/base.js';
import { readConfig } from '../../dist/base/config.js';
import { createLog } from '../../dist/base/log.js';
import { systemMeta } from '../../dist/base/request-meta.js';
import { createCore } from '../../dist/core/core.js';
import { withServer } from './load.js';
import { type Measured, measure, sendRequest } from './oidc/measure.js';
import type { Bench } from './run.js';
import { median } from './start.js';

const ROUNDS = 3;
const REQUESTS = 12_000;
const IN_FLIGHT = 32;
const MAX_RATIO = 2;
const MAX_P99_MS = 10;
const TOOL = 'dealroom';
const EMAIL = 'jane@example.com';
const PASSWORD = 'correct horse battery';
const BARE = fileURLToPath(new URL('./validate/bare-koa.js', import.meta.url));
const RESULTS = fileURLToPath(new URL('../../test/bench/validate.md', import.meta.url));
/** Each address sends more requests than the default limit allows. */
const SETTINGS = { TRUSTED_PROXIES: '127.0.0.0/8,::1', RATE_LIMIT_VALIDATE: '1000000' };

interface Side {
  pid: number;
  url: string;
  credential: string;
}

export const validate: Bench = async () => {
  let key = '';
  const bare = await startBare();
  try {
    return await withServer(
      async ({ origin, pid }) => {
        const url = `${origin}/api/validate`;
        const token = await signIn(origin);
        const sides = {
          bare: { ...bare, credential: key },
          key: { pid, url, credential: key },
          token: { pid, url, credential: token },
        };
        const figures = toFigures(await compare(sides));
        writeFileSync(RESULTS, toMarkdown(figures));
        return figures;
      },
      {
        settings: SETTINGS,
        async seed(environment) {
          key = await seed(environment);
        },
      },
    );
  } finally {
    bare.stop();
  }
};

async function compare(sides: Record<'bare' | 'key' | 'token', Side>) {
  const rounds = { bare: [] as Measured[], key: [] as Measured[], token: [] as Measured[] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const which of ['bare', 'key', 'token'] as const) {
      const measured = await measureSide(sides[which]);
      if (round > 0) rounds[which].push(measured);
    }
  }
  return { bare: medians(rounds.bare), key: medians(rounds.key), token: medians(rounds.token) };
}

function measureSide({ pid, url, credential }: Side): Promise<Measured> {
  const headers = { authorization: `Bearer ${credential}` };
  return measure(pid, {
    requests: REQUESTS,
    inFlight: IN_FLIGHT,
    async sendOne(worker) {
      const { status, body } = await sendRequest(url, worker, { headers, json: { tool: TOOL } });
      if (status !== 200 || !body.includes('"permission":"read"'))
        throw new Error(`${url} returned ${status}: ${body}`);
    },
  });
}

function medians(rounds: Measured[]): Measured {
  const of = (pick: (one: Measured) => number) => median(rounds.map(pick));
  return {
    cpuMicros: rounds[0]!.cpuMicros === undefined ? undefined : of(({ cpuMicros }) => cpuMicros!),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
  };
}

/** Creates a user with read access to a tool. Returns the user's API key. */
async function seed(environment: Record<string, string>): Promise<string> {
  const base = await openBase(readConfig(environment), { log: createLog('silent') });
  try {
    const { accounts, apiKeys, tools, permissions } = await createCore(base);
    const person = { email: EMAIL, name: 'Jane Developer', password: PASSWORD };
    const account = await accounts.create(person, systemMeta);
    await tools.create({ slug: TOOL, name: 'Deal room', url: 'https://dealroom.example' }, account.id, systemMeta);
    await permissions.grant({ accountId: account.id, slug: TOOL, level: 'read' }, account.id, systemMeta);
    const { key } = await apiKeys.create({ account }, { name: 'K', format: 'cb', lifeSeconds: null }, systemMeta);
    return key;
  } finally {
    await base.close();
  }
}

async function signIn(origin: string): Promise<string> {
  const { status, body } = await sendRequest(`${origin}/api/token`, 0, { json: { email: EMAIL, password: PASSWORD } });
  if (status !== 200) throw new Error(`sign-in returned ${status}: ${body}`);
  return JSON.parse(body).token;
}

async function startBare() {
  const server = spawn(process.execPath, [BARE], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(server.stdout, 'data')) as [Buffer];
  return {
    pid: server.pid!,
    url: `http://127.0.0.1:${port.toString().trim()}/api/validate`,
    stop: () => void server.kill(),
  };
}

function toFigures({ bare, key, token }: Awaited<ReturnType<typeof compare>>): Record<string, string> {
  const times = ({ p50Ms, p99Ms }: Measured) => `p50/p99 ${p50Ms.toFixed(1)}/${p99Ms.toFixed(1)} ms`;
  const describe = (measured: Measured) => {
    const cost = formatCpu(measured.cpuMicros);
    if (measured.cpuMicros === undefined || bare.cpuMicros === undefined) return `${cost}, ${times(measured)}`;
    const ratio = measured.cpuMicros / bare.cpuMicros;
    const verdicts = `aims: ≤ ${MAX_RATIO} × ${met(ratio <= MAX_RATIO)}, p99 < ${MAX_P99_MS} ms ${met(measured.p99Ms < MAX_P99_MS)}`;
    return `${cost}, ${ratio.toFixed(2)} × bare Koa, ${times(measured)} (${verdicts})`;
  };
  return {
    'bare Koa': `${formatCpu(bare.cpuMicros)}, ${times(bare)}`,
    'an API key': describe(key),
    "a user's token": describe(token),
  };
}

const formatCpu = (micros: number | undefined) =>
  micros === undefined ? `CPU time n/a on ${platform()}` : `${Math.round(micros)} µs of CPU time each`;

const met = (isMet: boolean) => (isMet ? 'met' : 'missed');

function toMarkdown(figures: Record<string, string>): string {
  return `# Credential validation for tools

Written by \`npm run bench -- validate\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${cpus().length} cores, load ${loadavg()[1]!.toFixed(1)}
(on a busy machine, the figures in milliseconds mean little).

\`POST /api/validate\` with \`{ "tool": "${TOOL}" }\`, ${IN_FLIGHT} in flight, on SQLite as \`npm start\` runs it, with log and rate limits. It runs in turns
with a Koa route that reads and returns the same JSON without any check: one round to warm up, then ${ROUNDS} of ${REQUESTS} requests, the median
of each. The client shares the machine.

| | |
| --- | --- |
${Object.entries(figures)
  .map(([name, value]) => `| ${name} | ${value} |`)
  .join('\n')}
`;
}
