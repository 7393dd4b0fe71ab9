// `npm run build`: the Prisma clients if they are missing or old, then the compiler. Says nothing when all is well.
// Where only the production packages are installed there is nothing to build with: what was built before is used.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const TOOLS = ['node_modules/typescript/bin/tsc', 'node_modules/prisma/package.json'];

if (TOOLS.every((tool) => existsSync(tool))) build();
else if (!existsSync('dist/main.js'))
  stop('Nothing is built yet, and the build tools are not installed: run `npm ci`.');

function build() {
  run('scripts/generate.mjs');
  run(TOOLS[0], '-p', '.');
}

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function stop(sentence) {
  console.error(sentence);
  process.exit(1);
}
