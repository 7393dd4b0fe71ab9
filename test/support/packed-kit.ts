// Packs the kit and installs its tarball into an empty project, as its users do. In test:all the
// kit's tests run on that.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The project that the kit's tests import from. */
export const INSTALLED = resolve('node_modules/.packed-kit');
/** Installed from our own node_modules, so that no registry is needed. */
const DEPENDENCIES = ['@noble/hashes', '@peculiar/utils', 'asn1js', 'jose'];

/** Runs before all tests. */
export default function bootstrap(): void {
  rmSync(INSTALLED, { recursive: true, force: true });
  installKit(INSTALLED);
}

/** Packs the build and installs it into this folder as `signet`. */
export function installKit(project: string): void {
  mkdirSync(project, { recursive: true });
  execFileSync(process.execPath, ['scripts/pack-kit.mjs', join(project, 'packed')]);
  const npm = (...args: string[]) =>
    execFileSync('npm', args, { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
  npm('pack', './packed', '--silent');
  writeFileSync(join(project, 'package.json'), '{ "private": true }');
  const dependencies = DEPENDENCIES.map((name) => resolve('node_modules', name));
  const quiet = ['--offline', '--install-links', '--no-audit', '--no-fund', '--silent'];
  npm('install', ...quiet, './signet-0.1.0.tgz', ...dependencies);
}
