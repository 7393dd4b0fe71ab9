// Other programs that read the SQLite file while the server runs.
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

test('an SQLite file loses no data when another program opens and closes it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'signet-db-'));
  const path = join(folder, 'signet.db');
  await migrate(`file:${path}`);
  const db = await openDatabase(`file:${path}`);
  await db.cacheVersion.create({ data: { topic: 'first' } });
  await migrate(`file:${path}`); // opens and closes another connection
  expect(readByAnother(path)).toBe(1);
  expect(existsSync(`${path}-wal`)).toBe(true); // the last program that closes the file deletes it
  await db.cacheVersion.create({ data: { topic: 'second' } });
  expect(readByAnother(path)).toBe(2);
  await db.$disconnect();
  rmSync(folder, { recursive: true });
});
