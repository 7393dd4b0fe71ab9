/** Reads a file that can be replaced while the server runs, and reads it again after a change. */
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
 * cannot be used at first. Later problems are logged once per change, and the previous content
 * stays.
 */
export function watchFile<Content>({ path, parse, clock, log }: Options<Content>): () => Content {
  let state = stateOf(path);
  let content = read();
  let lookedAt = clock.now().getTime();

  return function current(): Content {
    const now = clock.now().getTime();
    if (now - lookedAt < CHECK_INTERVAL_MS) return content;
    lookedAt = now;
    try {
      const seen = stateOf(path);
      if (seen === state) return content;
      state = seen;
      content = read();
      log.info({ path }, 'a file has changed, and was read again');
    } catch (error) {
      if (state !== UNREADABLE)
        log.error({ error, path }, 'a file has changed, and cannot be used: what it held before stays');
      state = UNREADABLE;
    }
    return content;
  };

  function read(): Content {
    try {
      return parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new Error(`${path} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }
}

const UNREADABLE = '';

/** Returns a value that changes with the content of the file. */
function stateOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
