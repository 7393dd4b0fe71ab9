// Creates a migrated, empty SQLite file before the tests. Copying it is several times faster than
// migrating.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../src/base/db/migrate.js';

declare module 'vitest' {
  export interface ProvidedContext {
    sqliteTemplate: string;
  }
}

export default async function bootstrap(project: TestProject) {
  const folder = mkdtempSync(join(tmpdir(), 'signet-template-'));
  const path = join(folder, 'signet.db');
  await migrate(`file:${path}`);
  project.provide('sqliteTemplate', path);
  return () => rmSync(folder, { recursive: true, force: true });
}
