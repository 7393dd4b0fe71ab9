/** Logs each request when its response has ended. */
import type { ServerResponse } from 'node:http';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../base/request-meta.js';

/**
 * Logs the request as soon as its response is sent or its connection is lost. `path` has no query.
 */
export type RequestLogger = (method: string | undefined, path: string, res: ServerResponse, meta: RequestMeta) => void;

export function createRequestLogger(log: Log): RequestLogger {
  // These fields never contain secrets, so they are not redacted: that would cost ten times as much
  // as writing the line.
  const accessLog = log.child({}, { redact: [] });

  return function logRequest(method, path, res, { address, requestId }) {
    const startedAt = performance.now();
    res.once('close', () => {
      const fields = {
        method,
        path: redactPath(path),
        status: res.statusCode,
        ms: Math.round(performance.now() - startedAt),
        address,
        requestId,
        ...(!res.writableFinished && { aborted: true }),
      };
      if (res.statusCode >= 500) accessLog.error(fields, 'request');
      else accessLog.info(fields, 'request');
    });
  };
}

/** Replaces the id of an interaction, because it gives access to a sign-in in progress. */
export const redactPath = (path: string) =>
  path.replace(/^\/(interaction|oauth\/authorize|device)\/[\w-]{20,}/, '/$1/:uid');
