/** Turns errors into responses: JSON for programs, pages for users. */
import type { Next } from 'koa';
import type { AppError } from '../../base/app-error.js';
import type { Views } from '../pages/views.js';
import { isApiPath } from './api-paths.js';
import type { Context } from './context.js';
import { type ErrorResponses, fromHttpError } from './error-response.js';

const HEADINGS: Record<number, string> = {
  400: 'Something went wrong',
  401: 'Something went wrong',
  403: 'Not allowed',
  404: 'Page not found',
  405: 'Something went wrong',
  409: 'Something went wrong',
  413: 'Request too large',
  429: 'Too many attempts',
  502: 'Error at the provider',
  503: 'Temporarily unavailable',
};

/** Returns the middleware that catches errors of all handlers. */
export function createErrorHandler({ errorResponses, views }: { errorResponses: ErrorResponses; views: Views }) {
  return async function handleErrors(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
      const hasNoResponse = ctx.respond !== false && !ctx.headerSent && !ctx.body;
      if (hasNoResponse && ctx.status >= 400) respond(ctx, fromHttpError(ctx.status)); // the router's 404, 405 and 501
    } catch (error) {
      if (ctx.headerSent) throw error;
      respond(ctx, errorResponses.toAppError(error, ctx.state.meta.requestId));
    }
  };

  function respond(ctx: Context, error: AppError): void {
    const { requestId } = ctx.state.meta;
    const { headers, body } = errorResponses.responseFor(error, ctx.path, requestId);
    ctx.respond = true; // a handler that wanted to write the response itself has failed
    ctx.status = error.status;
    ctx.set(headers);
    if (!wantsPage(ctx)) {
      ctx.body = body;
      return;
    }
    ctx.type = 'html';
    ctx.body = views.render('error', {
      heading: HEADINGS[error.status] ?? 'Something went wrong',
      message: error.message,
      code: error.code,
      requestId,
    });
  }
}

/** Reports whether to respond with a page. API paths always respond with JSON. */
function wantsPage(ctx: Context): boolean {
  return !isApiPath(ctx.path) && ctx.accepts('json', 'html') === 'html';
}
