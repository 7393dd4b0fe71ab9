/** Loads the master secret from the configuration, or from a file that the first start creates. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecrets, type Secrets } from './crypto.js';

interface Options {
  secret: string | undefined;
  secretPrevious: string | undefined;
  dataDir: string;
}

/**
 * Returns the keys derived from the master secret. Without `SECRET`, reads `DATA_DIR/secret`, or
 * creates it with mode 0600.
 */
export function loadSecrets({ secret, secretPrevious, dataDir }: Options): Secrets {
  return createSecrets(secret ?? readOrCreateSecretFile(dataDir), secretPrevious);
}

function readOrCreateSecretFile(dataDir: string): string {
  const path = join(dataDir, 'secret');
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    // "wx" fails if the file exists: of two processes that start together, one creates it.
    writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' || !existsSync(path)) {
      const message = `cannot create ${path} (${code}): check that DATA_DIR is a folder that the server can write to, or set another DATA_DIR`;
      throw new Error(message, { cause: error });
    }
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length < 32) throw new Error(`${path} has fewer than 32 characters: restore it from your backup`);
  return secret;
}
