// `npm run build`: generates the Prisma clients if they are missing or outdated, compiles, and
// copies the viewer of the API reference. Prints nothing on success. Without the development
// packages it does nothing, so that an existing build is used.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, readFileSync } from 'node:fs';

const VIEWER = 'node_modules/swagger-ui-dist';
const COMPILER = 'node_modules/typescript/bin/tsc';

if (canBuild()) build();
else if (!existsSync('dist/main.js'))
  exitWith('There is no build yet, and the build tools are not installed: run `npm ci`.');

/**
 * Reports whether the development packages are installed. Prisma and the compiler do not show it,
 * because npm installs them as peers of production packages. The @types packages do.
 */
function canBuild() {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const tools = Object.keys(devDependencies).filter((name) => /^(prisma|typescript|@types\/.+)$/.test(name));
  return tools.every((name) => existsSync(`node_modules/${name}/package.json`));
}

function build() {
  run('scripts/generate.mjs');
  run(COMPILER, '-p', '.');
  chmodSync('dist/cli.js', 0o755); // the `signet` command
  cpSync('src/data', 'dist/data', { recursive: true });
  copyViewer();
}

/** Copies only the two files that the API reference needs: the package has twelve megabytes. */
function copyViewer() {
  if (!existsSync(VIEWER)) exitWith('A build tool is missing: run `npm ci`.');
  copyFileSync(`${VIEWER}/swagger-ui-bundle.js`, 'public/swagger-ui.js');
  copyFileSync(`${VIEWER}/swagger-ui.css`, 'public/swagger-ui.css');
}

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function exitWith(message) {
  console.error(message);
  process.exit(1);
}
