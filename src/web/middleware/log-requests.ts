/** One line for every request, when it is answered. The path without its query: there, codes and tokens may stand. */
import type { Next } from 'koa';
import type { Log } from '../../base/log.js';
import type { Context } from '../state.js';

export function logRequests(log: Log) {
  // These members are known and never secret: looking through them would cost ten times the line itself.
  const lines = log.child({}, { redact: [] });

  return async function logRequest(ctx: Context, next: Next): Promise<void> {
    const started = performance.now();
    ctx.res.once('close', () => {
      const { requestId, address } = ctx.state.caller;
      const line = {
        method: ctx.method,
        path: withoutSecrets(ctx.path),
        status: ctx.res.statusCode,
        ms: Math.round(performance.now() - started),
        address,
        requestId,
        ...(!ctx.res.writableFinished && { aborted: true }),
      };
      if (ctx.res.statusCode >= 500) lines.error(line, 'request');
      else lines.info(line, 'request');
    });
    await next();
  };
}

/** An interaction's id is known to its browser only; as long as it lives, whoever knows it is half way in. */
export const withoutSecrets = (path: string) =>
  path.replace(/^\/(interaction|oauth\/authorize|device)\/[\w-]{20,}/, '/$1/:uid');
