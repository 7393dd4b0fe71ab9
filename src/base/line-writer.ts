/**
 * Buffers log lines and writes them at the end of each turn of the event loop, or earlier if they
 * exceed `MAX_ATOMIC_WRITE_BYTES`, because a system call per line costs more than formatting it.
 * Processes that share a pipe do not interleave their lines, unless a line is longer than
 * `MAX_ATOMIC_WRITE_BYTES`.
 *
 * Lines are lost if the process is killed or crashes in the same turn, or if a write fails.
 *
 * sonic-boom does not fit: it makes a system call per line or, with `sync: false`, buffers without
 * a limit while the pipe is full.
 */
import { writeSync } from 'node:fs';

/** PIPE_BUF on Linux: a larger write can be interleaved with the lines of another process. */
const MAX_ATOMIC_WRITE_BYTES = 4096;
const FULL_PIPE_RETRY_MS = 5;

export interface LineWriter {
  write(line: string): void;
  /** Writes all buffered lines. pino calls it after each `fatal` entry. */
  flushSync(): void;
}

/** Creates a writer for an open file descriptor. It flushes when the process exits. */
export function createLineWriter(fd: number): LineWriter {
  let buffer = '';
  let bufferedBytes = 0;
  let flushesOnExit = false;
  let isClosed = false;
  return { write, flushSync };

  function write(line: string): void {
    if (isClosed) return;
    if (!flushesOnExit) process.on('exit', flushSync);
    flushesOnExit = true;
    const bytes = Buffer.byteLength(line);
    if (bufferedBytes + bytes > MAX_ATOMIC_WRITE_BYTES) flushSync();
    if (buffer === '') setImmediate(flushSync);
    buffer += line;
    bufferedBytes += bytes;
  }

  function flushSync(): void {
    if (buffer === '') return;
    const bytes = Buffer.from(buffer);
    buffer = '';
    bufferedBytes = 0;
    try {
      writeAllSync(fd, bytes);
    } catch (error) {
      // A log that cannot be written must not stop the server: a full disk loses these lines. After
      // EPIPE, further lines are dropped, because the reader is gone.
      isClosed = (error as NodeJS.ErrnoException).code === 'EPIPE';
    }
  }
}

/** Writes everything. Waits while the pipe is full, because a buffer could exhaust the memory. */
function writeAllSync(fd: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      sleepSync(FULL_PIPE_RETRY_MS);
    }
  }
}

/** Sleeps without returning to the event loop. */
function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
