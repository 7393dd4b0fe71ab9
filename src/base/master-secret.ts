/** The master secret, from the configuration or from a file that the first start creates. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecrets, type Secrets } from './crypto.js';

interface Source {
  secret: string | undefined;
  secretPrevious: string | undefined;
  dataDir: string;
}

/**
 * Returns the secrets of this installation. Without `SECRET`, reads `DATA_DIR/secret`, or creates
 * it with mode 0600.
 */
export function loadSecrets({ secret, secretPrevious, dataDir }: Source): Secrets {
  return createSecrets(secret ?? secretFromFile(dataDir), secretPrevious);
}

function secretFromFile(dataDir: string): string {
  const path = join(dataDir, 'secret');
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    // "wx": of two processes that start at once, one writes and both read the same.
    writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' || !existsSync(path)) {
      throw new Error(
        `DATA_DIR ${dataDir} cannot be written (${code}): make it a folder of this user, or set another`,
        {
          cause: error,
        },
      );
    }
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length < 32) throw new Error(`${path} holds fewer than 32 characters: restore it from your backup`);
  return secret;
}
