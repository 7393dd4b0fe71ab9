// What `npm run test:all` needs around it: a PostgreSQL, a Redis, a Chromium, a Python and the
// libraries of test/clients, of test/runtimes and of the examples. Takes the servers that run
// already, or starts some of its own and stops them at the end. Fails when one is not installed:
// nothing is left out in silence.

import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/base/db/migrate.js';
import { findOnPath, findPostgresql, findRedis, INSTALL, runStatement, stopAll, stopAtExit } from './store-servers.js';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresqlUrl: string;
    /**
     * The name of a migrated, empty database: copying it is several times faster than migrating.
     */
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
    project.provide('postgresqlTemplate', await makeTemplate(postgresqlUrl));
  } catch (error) {
    await stopAll();
    throw error;
  }
  return stopAll;
}

/** The libraries of a folder that has its own, in the versions that are written down. */
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
  const given = process.env.CHROMIUM_PATH;
  const found = given ?? findOnPath('chromium') ?? findOnPath('chromium-browser') ?? findOnPath('google-chrome');
  if (!found || !existsSync(found)) throw new Error(`Chromium is missing. ${INSTALL}`);
  return found;
}

async function makeTemplate(url: string): Promise<string> {
  const name = `signet_template_${randomUUID().replaceAll('-', '')}`;
  await runStatement(url, `CREATE DATABASE ${name} TEMPLATE template0`);
  stopAtExit(() => runStatement(url, `DROP DATABASE ${name} WITH (FORCE)`));
  const template = new URL(url);
  template.pathname = `/${name}`;
  await migrate(template.href);
  return name;
}
