/** Logs one line for every request, when its response ends. */
import type { ServerResponse } from 'node:http';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../core/request-meta.js';

/** Logs the request when its response is sent or its connection lost. `path` has no query. */
export type LogRequest = (method: string | undefined, path: string, res: ServerResponse, meta: RequestMeta) => void;

export function createLogRequest(log: Log): LogRequest {
  // These fields are known and never secret. Searching them for secrets would cost ten times as
  // much as the line itself.
  const lines = log.child({}, { redact: [] });

  return function logRequest(method, path, res, { address, requestId }) {
    const started = performance.now();
    res.once('close', () => {
      const line = {
        method,
        path: withoutSecrets(path),
        status: res.statusCode,
        ms: Math.round(performance.now() - started),
        address,
        requestId,
        ...(!res.writableFinished && { aborted: true }),
      };
      if (res.statusCode >= 500) lines.error(line, 'request');
      else lines.info(line, 'request');
    });
  };
}

/** Replaces the id of an interaction, which grants access to a sign-in in progress. */
export const withoutSecrets = (path: string) =>
  path.replace(/^\/(interaction|oauth\/authorize|device)\/[\w-]{20,}/, '/$1/:uid');
