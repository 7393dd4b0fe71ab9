/**
 * Where lines of the log end up: a file descriptor, written once for all lines of one turn of the
 * event loop, for a system call with each line costs more than the line itself. Lines leave in
 * their order and whole, also where several processes write to one pipe. What ends the process
 * leaves nothing behind but when nobody can run any more (a kill, a crash of the engine): then the
 * lines of the turn under way are lost.
 */
import { writeSync } from 'node:fs';

/**
 * What a full pipe takes at once or not at all (PIPE_BUF on Linux): of more, another process's
 * lines might follow the first half.
 */
const MAX_BYTES = 4096;
const BUSY_MS = 5;

export interface LineWriter {
  write(line: string): void;
  /** Pino calls it with a line that may be the last one. */
  flushSync(): void;
}

export function createLineWriter(fd: number): LineWriter {
  let lines = '';
  let bytes = 0;
  let isUsed = false;
  let isGone = false;
  return { write, flushSync };

  function write(line: string): void {
    if (isGone) return;
    if (!isUsed) process.on('exit', flushSync);
    isUsed = true;
    const length = Buffer.byteLength(line);
    if (bytes + length > MAX_BYTES) flushSync();
    if (lines === '') setImmediate(flushSync);
    lines += line;
    bytes += length;
  }

  function flushSync(): void {
    if (lines === '') return;
    const all = Buffer.from(lines);
    lines = '';
    bytes = 0;
    try {
      writeAll(fd, all);
    } catch (error) {
      // A log that cannot be written (a full disk, a reader that has left) is no reason to let
      // nobody in.
      isGone = (error as NodeJS.ErrnoException).code === 'EPIPE';
    }
  }
}

/**
 * Waits for a reader that is slow, as every program does whose output is a pipe: it must not be
 * kept in memory instead.
 */
function writeAll(fd: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
    }
  }
}
