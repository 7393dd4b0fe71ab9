// `npm run example -- <name>`: starts Signet and one of the examples. Installs the libraries of the
// examples if they are missing.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { demoEnvironment, ISSUER, startSignet, USER, untilReady } from './signet.mjs';

const PORT = '3001';
const NOTES = 'notes:read=Read your notes.';
/**
 * For each example: the program (`file`, run by `command`), an admin command to run `before` it, a
 * second program to run `after` it has started, the URL to `open`, and whether Signet keeps running
 * after the program exits (`stays`).
 */
const EXAMPLES = {
  'auth-js': { file: 'auth-js/app.mjs', open: 'http://localhost:3001' },
  'express-tool': { file: 'express-tool/app.mjs' },
  passport: { file: 'passport/app.mjs', open: 'http://localhost:3001' },
  spa: { file: 'spa/server.mjs', open: 'http://localhost:3001' },
  mcp: {
    file: 'mcp/server.mjs',
    before: ['resource', 'create', 'http://localhost:3001/mcp', '--name', 'Notes', '--scope', NOTES],
    after: 'mcp/client.mjs',
  },
  agent: { command: 'python3', file: 'agent/agent.py', stays: true },
};

const name = process.argv[2] ?? '';
const example = EXAMPLES[name];
if (!example) {
  console.error(
    `${name ? `There is no example "${name}".` : 'Name an example.'} Examples: ${Object.keys(EXAMPLES).join(', ')}.`,
  );
  process.exit(64);
}
if (!existsSync('examples/node_modules')) {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status } = spawnSync(npm, ['ci', '--prefix', 'examples', '--no-audit', '--no-fund'], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

await startSignet(example.command ? [] : [PORT]);
// Fails without harm if the resource exists from an earlier run.
if (example.before) spawnSync(process.execPath, ['dist/cli.js', ...example.before], { env: demoEnvironment() });
const first = run(example.command ?? process.execPath, example.file);
if (example.after) {
  await untilReady('http://localhost:3001/.well-known/oauth-protected-resource/mcp');
  run(process.execPath, example.after).once('exit', stop);
} else first.once('exit', (code) => (example.stays && code === 0 ? undefined : stop()));

console.log(`
${example.open ? `Open   ${example.open}   and sign in.` : 'When the example asks you to sign in:'}

  e-mail    ${USER.email}
  password  ${USER.password}      (or create your own account)

Stop with Ctrl-C; ./data/demo can be deleted.
`);

function run(command, file) {
  const env = { ...process.env, ISSUER, PORT };
  const program = spawn(command, [`examples/${file}`], { env, stdio: 'inherit' });
  process.once('exit', () => program.kill());
  return program;
}

function stop() {
  process.kill(process.pid, 'SIGTERM');
}
