/** Logs errors that occur while a response is being sent: it is too late for an error response. */
import type { Log } from '../../base/log.js';

/** Returns a listener for Koa's `error` event. Without one, Koa prints a stack trace. */
export function createResponseErrorLogger(log: Log) {
  return function logResponseError(error: Error & { code?: string }): void {
    log[isClientAbort(error) ? 'debug' : 'error']({ error }, 'could not send the response');
  };
}

/**
 * Reports whether the client disconnected or sent invalid HTTP, which is no error of this server.
 */
const isClientAbort = ({ code }: { code?: string }) => /^(HPE_|ECONNRESET|EPIPE|ERR_STREAM)/.test(code ?? '');
