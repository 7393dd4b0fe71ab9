/**
 * One line for every request, when it is answered. The path without its query: there, codes and
 * tokens may stand.
 */
import type { ServerResponse } from 'node:http';
import type { Next } from 'koa';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../core/request-meta.js';
import type { Context } from './context.js';

/** Writes the line when the answer is sent, or its connection lost. */
export type LogRequest = (request: { method?: string; path: string }, res: ServerResponse, meta: RequestMeta) => void;

export function createLogRequest(log: Log): LogRequest {
  // These members are known and never secret: looking through them would cost ten times the line
  // itself.
  const lines = log.child({}, { redact: [] });

  return function logRequest({ method, path }, res, { address, requestId }) {
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

export function accessLog(logRequest: LogRequest) {
  return async function accessLog(ctx: Context, next: Next): Promise<void> {
    logRequest(ctx, ctx.res, ctx.state.meta);
    await next();
  };
}

/**
 * An interaction's id is known to its browser only; as long as it lives, whoever knows it is half
 * way in.
 */
export const withoutSecrets = (path: string) =>
  path.replace(/^\/(interaction|oauth\/authorize|device)\/[\w-]{20,}/, '/$1/:uid');
