/** The one place where a no, or a bug, becomes an answer: JSON for programs, a page for people. */
import type { Next } from 'koa';
import type { AppError } from '../../base/app-error.js';
import type { Views } from '../pages/views.js';
import { isApiPath } from './api-paths.js';
import type { Context } from './context.js';
import { type ErrorResponses, fromHttpError } from './error-response.js';

const HEADINGS: Record<number, string> = {
  400: 'That did not work',
  401: 'That did not work',
  403: 'Not allowed',
  404: 'Page not found',
  405: 'That did not work',
  409: 'That did not work',
  413: 'Too much at once',
  429: 'Too many attempts',
  502: 'Something went wrong elsewhere',
  503: 'Back in a moment',
};

export function errorHandler({ errorResponses, views }: { errorResponses: ErrorResponses; views: Views }) {
  return async function answerFailure(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
      const unanswered = ctx.respond !== false && !ctx.headerSent && !ctx.body;
      if (unanswered && ctx.status >= 400) answer(ctx, fromHttpError(ctx.status)); // the router's 404, 405 and 501
    } catch (error) {
      if (ctx.headerSent) throw error;
      answer(ctx, errorResponses.toAppError(error, ctx.state.meta.requestId));
    }
  };

  function answer(ctx: Context, refusal: AppError): void {
    const { requestId } = ctx.state.meta;
    const { headers, body } = errorResponses.responseFor(refusal, ctx.path, requestId);
    ctx.status = refusal.status;
    ctx.set(headers);
    if (!wantsPage(ctx)) {
      ctx.body = body;
      return;
    }
    ctx.type = 'html';
    ctx.body = views.render('error', {
      heading: HEADINGS[refusal.status] ?? 'Something went wrong',
      message: refusal.message,
      code: refusal.code,
      requestId,
    });
  }
}

/** People get pages, except where only programs come. */
function wantsPage(ctx: Context): boolean {
  return !isApiPath(ctx.path) && ctx.accepts('json', 'html') === 'html';
}
