/**
 * Combines small writes into one system call, for the sockets that all requests share: those to
 * Redis and PostgreSQL.
 */
import type { Writable } from 'node:stream';

/**
 * Buffers writes to this socket until the next turn of the event loop, and then sends them
 * together.
 */
export function corkUntilNextTurn(socket: Writable): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  setImmediate(() => socket.uncork());
}
