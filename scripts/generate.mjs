// Generates both Prisma clients into src/generated (git-ignored), unless the same version of Prisma
// generated them from the same models. Downloads nothing.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { PROVIDERS, schemaFor } from './schema.mjs';

const GENERATED = 'src/generated';
const HASH_FILE = '.made-from';
const PRISMA = 'node_modules/prisma';

const inputHash = hashInputs();
if (!existsSync(`${GENERATED}/${HASH_FILE}`) || readFileSync(`${GENERATED}/${HASH_FILE}`, 'utf8') !== inputHash) {
  await generate();
}

function hashInputs() {
  const { version } = JSON.parse(readFileSync(`${PRISMA}/package.json`, 'utf8'));
  return createHash('sha256')
    .update([version, ...PROVIDERS.map(schemaFor)].join('\0'))
    .digest('hex');
}

/**
 * Generates into a temporary folder and then renames it, so that a concurrent build never reads a
 * partial file.
 */
async function generate() {
  const folder = `node_modules/.cache/signet/generated-${process.pid}`;
  const replacedFolder = `${folder}.old`;
  mkdirSync(folder, { recursive: true });
  try {
    await Promise.all(PROVIDERS.map((provider) => generateClient(provider, `${folder}/${provider}.prisma`)));
    writeFileSync(`${folder}/${HASH_FILE}`, inputHash);
    if (existsSync(GENERATED)) renameSync(GENERATED, replacedFolder);
    renameSync(folder, GENERATED);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(replacedFolder, { recursive: true, force: true });
  }
}

function generateClient(provider, path) {
  writeFileSync(path, schemaFor(provider));
  const env = {
    ...process.env,
    // `prisma generate` downloads a schema engine that it never runs, unless this names a program.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
  };
  const command = [`${PRISMA}/build/index.js`, 'generate', `--schema=${path}`, '--no-hints'];
  return promisify(execFile)(process.execPath, command, { env });
}
