/** Reads a file that can be replaced while the server runs, and reloads it after a change. */
import { readFileSync, statSync } from 'node:fs';
import type { Clock } from './clock.js';
import type { Log } from './log.js';

interface Options<Content> {
  path: string;
  /** Parses the content. Throws an `Error` with a message for the operator. */
  parse: (text: string) => Content;
  clock: Clock;
  log: Log;
}

const CHECK_INTERVAL_MS = 1000;

/**
 * Returns a function that returns the parsed content, at most a second old. Throws if the file
 * cannot be read or parsed. Later errors are logged once, and the previous content stays in use.
 */
export function watchFile<Content>({ path, parse, clock, log }: Options<Content>): () => Content {
  let loadedVersion = fileVersion(path);
  let content = load();
  let checkedAtMs = clock.now().getTime();

  return function current(): Content {
    const now = clock.now().getTime();
    if (now - checkedAtMs < CHECK_INTERVAL_MS) return content;
    checkedAtMs = now;
    try {
      const version = fileVersion(path);
      if (version === loadedVersion) return content;
      loadedVersion = version;
      content = load();
      log.info({ path }, 'reloaded a changed file');
    } catch (error) {
      if (loadedVersion !== INVALID)
        log.error({ error, path }, 'could not reload a changed file; its previous content stays in use');
      loadedVersion = INVALID;
    }
    return content;
  };

  function load(): Content {
    try {
      return parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new Error(`${path} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Differs from the version of every file, so that the next check reloads it. */
const INVALID = '';

/** Returns a value that changes when the file is replaced or written. */
function fileVersion(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
