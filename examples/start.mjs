// `npm run example -- <name>`: Signet and one of the examples beside it. Installs the libraries of the examples when they are missing.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ISSUER, PERSON, startSignet } from './signet.mjs';

/** What runs, and where to look. */
const EXAMPLES = {
  'auth-js': { file: 'auth-js/app.mjs', open: 'http://localhost:3001' },
  passport: { file: 'passport/app.mjs', open: 'http://localhost:3001' },
  spa: { file: 'spa/server.mjs', open: 'http://localhost:3001' },
};

const name = process.argv[2] ?? '';
const example = EXAMPLES[name];
if (!example) {
  console.error(`There is no example ${name || 'without a name'}; there are ${Object.keys(EXAMPLES).join(', ')}.`);
  process.exit(64);
}
if (!existsSync('examples/node_modules')) {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status } = spawnSync(npm, ['ci', '--prefix', 'examples', '--no-audit', '--no-fund'], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

await startSignet(example.settings);
const [command, ...args] = example.command ?? [process.execPath];
const app = spawn(command, [...args, `examples/${example.file}`], {
  env: { ...process.env, ISSUER, PORT: '3001' },
  stdio: 'inherit',
});
app.once('exit', (code) => process.kill(process.pid, 'SIGTERM') && process.exit(code ?? 0));
process.once('exit', () => app.kill());

if (example.open) {
  console.log(`
Open   ${example.open}   and sign in.

  e-mail    ${PERSON.email}
  password  ${PERSON.password}      (or make an account of your own)

Stop with Ctrl-C; ./data/demo can be deleted.
`);
}
