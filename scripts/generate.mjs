// Generates both Prisma clients into src/generated (git-ignored), unless what is there was made
// from the same models by the same Prisma. Nothing is downloaded.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { PROVIDERS, schemaFor } from './schema.mjs';

const GENERATED = 'src/generated';
const STAMP = `${GENERATED}/.made-from`;
const PRISMA = 'node_modules/prisma';

const madeFrom = fingerprint();
if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== madeFrom) await generate();

function fingerprint() {
  const { version } = JSON.parse(readFileSync(`${PRISMA}/package.json`, 'utf8'));
  return createHash('sha256')
    .update([version, ...PROVIDERS.map(schemaFor)].join('\0'))
    .digest('hex');
}

/**
 * Writes to a temporary name and renames it, so that a build that runs at the same time never reads
 * half a file.
 */
async function generate() {
  const workshop = `node_modules/.cache/signet/generated-${process.pid}`;
  mkdirSync(workshop, { recursive: true });
  try {
    await Promise.all(PROVIDERS.map((provider) => generateClient(provider, `${workshop}/${provider}.prisma`)));
    writeFileSync(`${workshop}/.made-from`, madeFrom);
    if (existsSync(GENERATED)) renameSync(GENERATED, `${workshop}.old`);
    renameSync(workshop, GENERATED);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
    rmSync(`${workshop}.old`, { recursive: true, force: true });
  }
}

function generateClient(provider, path) {
  writeFileSync(path, schemaFor(provider));
  const env = {
    ...process.env,
    // `generate` insists on having a schema engine but never runs it: any executable will do, and
    // nothing is fetched.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
  };
  const command = [`${PRISMA}/build/index.js`, 'generate', `--schema=${path}`, '--no-hints'];
  return promisify(execFile)(process.execPath, command, { env });
}
