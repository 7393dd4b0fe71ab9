/**
 * What goes wrong when an answer is on its way already, or nobody is there any more to take it: a
 * line of the log is all that is left.
 */
import type { Log } from '../../base/log.js';

/**
 * For the `error` event of whatever answers. Koa writes a stack to standard error where nobody
 * listens.
 */
export function createRecordAborted(log: Log) {
  return function recordAborted(error: Error & { code?: string }): void {
    log[isClientAbort(error) ? 'debug' : 'error']({ error }, 'the answer could not be sent');
  };
}

/** The other side closed the connection, or sent what is no HTTP: nothing is wrong here. */
const isClientAbort = ({ code }: { code?: string }) => /^(HPE_|ECONNRESET|EPIPE|ERR_STREAM)/.test(code ?? '');
