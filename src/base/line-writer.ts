/**
 * Writes log lines to a file descriptor, once per turn of the event loop, because a system call per
 * line costs more than the line itself. Lines stay whole and in order, also when several processes
 * share a pipe. Only a kill or a crash of the engine loses lines of the current turn. sonic-boom
 * either makes a system call per line or, with `sync: false`, buffers without a limit on a full
 * pipe.
 */
import { writeSync } from 'node:fs';

/**
 * PIPE_BUF on Linux: a write up to this size is atomic. Parts of a larger write could be
 * interleaved with lines of another process.
 */
const MAX_BYTES = 4096;
const BUSY_MS = 5;

export interface LineWriter {
  write(line: string): void;
  /** Called by pino with a line that can be the last one. */
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
      // A log that cannot be written (a full disk, a closed pipe) must not stop the server.
      isGone = (error as NodeJS.ErrnoException).code === 'EPIPE';
    }
  }
}

/**
 * Writes everything, and waits while the pipe is full. Buffering in memory instead could exhaust
 * it.
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
