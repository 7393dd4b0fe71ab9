// `npm run build`: the Prisma clients if they are missing or old, the compiler, the viewer of the
// API reference. Says nothing when all is well. Where only the production packages are installed
// there is nothing to build with: what was built before is used.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';

const VIEWER = 'node_modules/swagger-ui-dist';
const COMPILER = 'node_modules/typescript/bin/tsc';

if (canBuild()) build();
else if (!existsSync('dist/main.js'))
  stop('Nothing is built yet, and the build tools are not installed: run `npm ci`.');

/**
 * Prisma and the compiler come along even with --omit=dev, as peers; the types of our packages do
 * not.
 */
function canBuild() {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const tools = Object.keys(devDependencies).filter((name) => /^(prisma|typescript|@types\/.+)$/.test(name));
  return tools.every((name) => existsSync(`node_modules/${name}/package.json`));
}

function build() {
  run('scripts/generate.mjs');
  run(COMPILER, '-p', '.');
  copyViewer();
}

/** Two files of the API reference, out of twelve megabytes that a server has no use for. */
function copyViewer() {
  if (!existsSync(VIEWER)) stop('The build tools have changed: run `npm ci`.');
  copyFileSync(`${VIEWER}/swagger-ui-bundle.js`, 'public/swagger-ui.js');
  copyFileSync(`${VIEWER}/swagger-ui.css`, 'public/swagger-ui.css');
}

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function stop(sentence) {
  console.error(sentence);
  process.exit(1);
}
