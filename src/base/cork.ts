/** Fewer system calls for sockets that many requests share: those to the stores. */
import type { Writable } from 'node:stream';

/**
 * What is written to this socket from now on leaves together, before the next turn of the event
 * loop.
 */
export function corkUntilNextTick(socket: Writable): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  setImmediate(() => socket.uncork());
}
