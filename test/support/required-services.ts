// Provides what `npm run test:all` needs: PostgreSQL, Redis, Chromium, Python and the libraries of
// test/clients, test/runtimes and the examples. Uses servers that already run, or starts its own
// and stops them at the end. Fails if one is not installed, so that no test is skipped silently.

import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/base/db/migrate.js';
import { findOnPath, findPostgresql, findRedis, INSTALL, runStatement, stopAll, stopAtExit } from './store-servers.js';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresqlUrl: string;
    /** A migrated, empty database. Copying it is several times faster than migrating. */
    postgresqlTemplate: string;
    redisUrl: string;
    chromium: string;
  }
}

export default async function bootstrap(project: TestProject) {
  try {
    checkLibraries('test/clients');
    checkLibraries('examples');
    checkLibraries('test/runtimes');
    if (!findOnPath('python3')) throw new Error(`Python is missing. ${INSTALL}`);
    if (spawnSync('python3', ['-c', 'import requests']).status !== 0)
      throw new Error(`The Python package requests is missing. ${INSTALL}`);
    project.provide('chromium', findChromium());
    project.provide('redisUrl', await findRedis());
    const postgresqlUrl = await findPostgresql();
    project.provide('postgresqlUrl', postgresqlUrl);
    project.provide('postgresqlTemplate', await createTemplate(postgresqlUrl));
  } catch (error) {
    await stopAll();
    throw error;
  }
  return stopAll;
}

/** Throws unless the exact versions in a folder's package.json are installed. */
function checkLibraries(of: string): void {
  const folder = new URL(`../../${of}/`, import.meta.url);
  const manifest = (path: string) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'));
  for (const [name, version] of Object.entries(manifest('package.json').dependencies)) {
    const path = `node_modules/${name}/package.json`;
    if (existsSync(new URL(path, folder)) && manifest(path).version === version) continue;
    throw new Error(`The library ${name} ${version} of ${of} is missing. Install it: npm ci --prefix ${of}`);
  }
}

function findChromium(): string {
  const found =
    process.env.CHROMIUM_PATH ??
    findOnPath('chromium') ??
    findOnPath('chromium-browser') ??
    findOnPath('google-chrome');
  if (!found || !existsSync(found)) throw new Error(`Chromium is missing. ${INSTALL}`);
  return found;
}

async function createTemplate(url: string): Promise<string> {
  const name = `signet_template_${randomUUID().replaceAll('-', '')}`;
  await runStatement(url, `CREATE DATABASE ${name} TEMPLATE template0`);
  stopAtExit(() => runStatement(url, `DROP DATABASE ${name} WITH (FORCE)`));
  const template = new URL(url);
  template.pathname = `/${name}`;
  await migrate(template.href);
  return name;
}
