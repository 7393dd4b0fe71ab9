// The file of an SQLite database, and programs of other people that read it while the server runs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { migrate } from '../../src/base/db/migrate.js';
import { openDatabase } from '../../src/base/db/open.js';

const READER = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute('SELECT count(*) FROM "CacheVersion"').fetchone()[0])
db.close()`;

const readByAnother = (path: string) => Number(execFileSync('python3', ['-c', READER, path], { encoding: 'utf8' }));

test('loses nothing when another program reads it and goes, whatever else this one opened meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'signet-db-'));
  const path = join(folder, 'signet.db');
  await migrate(`file:${path}`);
  const db = await openDatabase(`file:${path}`);
  await db.cacheVersion.create({ data: { topic: 'first' } });
  await migrate(`file:${path}`); // another connection, which comes and goes
  expect(readByAnother(path)).toBe(1);
  expect(existsSync(`${path}-wal`)).toBe(true); // whoever thinks that it is the last one takes it away
  await db.cacheVersion.create({ data: { topic: 'second' } });
  expect(readByAnother(path)).toBe(2);
  await db.$disconnect();
  rmSync(folder, { recursive: true });
});
