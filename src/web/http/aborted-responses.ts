/** Errors while a response is being sent. They can only be logged. */
import type { Log } from '../../base/log.js';

/** Returns a listener for Koa's `error` event. Without one, Koa prints a stack trace. */
export function createRecordAborted(log: Log) {
  return function recordAborted(error: Error & { code?: string }): void {
    log[isClientAbort(error) ? 'debug' : 'error']({ error }, 'the answer could not be sent');
  };
}

/** Reports whether the client disconnected or sent invalid HTTP, which is not an error of ours. */
const isClientAbort = ({ code }: { code?: string }) => /^(HPE_|ECONNRESET|EPIPE|ERR_STREAM)/.test(code ?? '');
