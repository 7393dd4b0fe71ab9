// The kit as others have it: packed, and installed from its tarball into an empty project. In
// test:all its tests run on that.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where the tests of the kit find it. */
export const INSTALLED = resolve('node_modules/.packed-kit');
/** Taken from here, so that nobody is asked for them. */
const DEPENDENCIES = ['@noble/hashes', '@peculiar/utils', 'asn1js', 'jose'];

/** Before all tests. */
export default function bootstrap(): void {
  rmSync(INSTALLED, { recursive: true, force: true });
  installKit(INSTALLED);
}

/** Packs what was compiled and installs it into this folder, as `signet`. */
export function installKit(project: string): void {
  mkdirSync(project, { recursive: true });
  execFileSync(process.execPath, ['scripts/pack-kit.mjs', join(project, 'made')]);
  const npm = (...args: string[]) =>
    execFileSync('npm', args, { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
  npm('pack', './made', '--silent');
  writeFileSync(join(project, 'package.json'), '{ "private": true }');
  const dependencies = DEPENDENCIES.map((name) => resolve('node_modules', name));
  const quiet = ['--offline', '--install-links', '--no-audit', '--no-fund', '--silent'];
  npm('install', ...quiet, './signet-0.1.0.tgz', ...dependencies);
}
