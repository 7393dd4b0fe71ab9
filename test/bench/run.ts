// `npm run bench [-- <name>…]`: runs the benchmarks and prints medians. A new benchmark is a file
// beside this one and a line below.
import { cpus } from 'node:os';
import { kit } from './kit.js';
import { login } from './login.js';
import { oidc, oidcCases } from './oidc.js';
import { signInPages } from './sign-in-pages.js';
import { start } from './start.js';
import { validate } from './validate.js';

/** Returns the figures by name, ready to print. */
export type Bench = () => Promise<Record<string, string>>;

const BENCHES: Record<string, Bench> = {
  start,
  'sign-in-pages': signInPages,
  oidc,
  login,
  kit,
  validate,
};

/** Parts of a benchmark above. They run only when they are named. */
const PARTS: Record<string, Bench> = oidcCases;

const wanted = process.argv.slice(2);
const all = { ...BENCHES, ...PARTS };
const unknown = wanted.filter((name) => !all[name]);
if (unknown.length > 0) {
  process.stderr.write(`Unknown benchmark: ${unknown.join(', ')}. Choose from ${Object.keys(all).join(', ')}.\n`);
  process.exit(64);
}
process.stdout.write(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}\n`);
for (const [name, bench] of Object.entries(all)) {
  if (wanted.length > 0 ? !wanted.includes(name) : !BENCHES[name]) continue;
  process.stdout.write(`\n${name}\n`);
  for (const [figure, value] of Object.entries(await bench()))
    process.stdout.write(`  ${figure.padEnd(44)} ${value}\n`);
}
