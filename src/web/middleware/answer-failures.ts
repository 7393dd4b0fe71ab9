/** The one place where a no, or a bug, becomes an answer: JSON for programs, a page for people. */
import type { Next } from 'koa';
import { isOutage, isUnstorable, Refusal, unavailable } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';
import { tellLimit } from '../limit-headers.js';
import type { Context } from '../state.js';
import type { Views } from '../views.js';
import { isForPrograms } from './security-headers.js';

const HEADINGS: Record<number, string> = {
  400: 'That did not work',
  401: 'That did not work',
  403: 'Not allowed',
  404: 'Page not found',
  405: 'That did not work',
  409: 'That did not work',
  413: 'Too much at once',
  429: 'Too many attempts',
  503: 'Back in a moment',
};
const CHALLENGE_ERRORS: Record<string, string> = {
  invalid_token: 'invalid_token',
  expired_token: 'invalid_token',
  reauth_required: 'insufficient_user_authentication',
};
const BUG = new Refusal(500, 'server_error', 'Something went wrong on our side.');

interface Needs {
  issuer: string;
  log: Log;
  views: Views;
}

export function answerFailures({ issuer, log, views }: Needs) {
  const metadata = `resource_metadata="${issuer}/.well-known/oauth-protected-resource/api/v1"`;

  return async function answerFailure(ctx: Context, next: Next): Promise<void> {
    try {
      await next();
      const unanswered = ctx.respond !== false && !ctx.headerSent && !ctx.body;
      if (unanswered && ctx.status >= 400) answer(ctx, fromHttpError(ctx.status)); // the router's 404, 405 and 501
    } catch (error) {
      if (ctx.headerSent) throw error;
      answer(ctx, toRefusal(error, ctx));
    }
  };

  function answer(ctx: Context, refusal: Refusal): void {
    const { requestId } = ctx.state.caller;
    ctx.status = refusal.status;
    ctx.set('Cache-Control', 'no-store');
    if (refusal.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(refusal.retryAfterSeconds));
    if (refusal.limit) tellLimit(ctx, refusal.limit);
    if (refusal.status === 401 && isForPrograms(ctx.path)) ctx.set('WWW-Authenticate', challenge(refusal));
    if (refusal.dpop) ctx.set('DPoP-Nonce', refusal.dpop.nonce);
    if (wantsPage(ctx)) {
      ctx.type = 'html';
      ctx.body = views.render('error', {
        heading: HEADINGS[refusal.status] ?? 'Something went wrong',
        message: refusal.message,
        code: refusal.code,
        requestId,
      });
      return;
    }
    ctx.body = {
      error: refusal.code,
      error_description: refusal.message,
      ...(refusal.fields && { fields: refusal.fields }),
      request_id: requestId,
    };
  }

  /** How to prove oneself (RFC 6750, 3; RFC 9449, 7.1; RFC 9728, 5.1; RFC 9470, 3). Whoever sent nothing is told of no error. */
  function challenge({ code, dpop }: Refusal): string {
    const error = dpop?.error ?? CHALLENGE_ERRORS[code];
    if (dpop) return `DPoP error="${error}", algs="${DPOP_ALGORITHMS.join(' ')}", ${metadata}`;
    return error ? `Bearer error="${error}", ${metadata}` : `Bearer ${metadata}`;
  }

  function toRefusal(error: unknown, ctx: Context): Refusal {
    if (error instanceof Refusal) {
      if (error.status >= 500) log.error({ error, requestId: ctx.state.caller.requestId }, 'unavailable');
      return error;
    }
    const { status, expose } = error as { status?: number; expose?: boolean };
    if (status && expose && status < 500) return fromHttpError(status);
    if (isUnstorable(error)) return fromHttpError(400);
    log.error({ error, requestId: ctx.state.caller.requestId }, 'failed');
    return isOutage(error) ? unavailable('Please try again in a moment.') : BUG;
  }
}

/** People get pages, except where only programs come. */
export function wantsPage(ctx: Context): boolean {
  return !isForPrograms(ctx.path) && ctx.accepts('json', 'html') === 'html';
}

/** What libraries throw for a request that is wrong by itself. */
function fromHttpError(given: number): Refusal {
  const status = given === 501 ? 405 : given; // a method that nobody knows is one that this address does not know
  const codes: Record<number, [string, string]> = {
    404: ['not_found', 'There is nothing here.'],
    405: ['method_not_allowed', 'This address does not know that method.'],
    413: ['payload_too_large', 'The body is too large.'],
    415: ['unsupported_media_type', 'The body has a type that is not accepted here.'],
  };
  const [code, message] = codes[status] ?? ['invalid_request', 'The request is malformed.'];
  return new Refusal(status, code, message);
}
