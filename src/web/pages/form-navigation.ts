/**
 * Answers forms that lead to another site. Chromium applies the `form-action` of a page to every
 * redirect after its form, also to those of an app behind a broker, which no list can contain. So
 * the response to such a form is a page that goes on by itself: everything after it is an ordinary
 * navigation, and the policy of our pages stays `'self'`.
 */
import type { Next } from 'koa';
import type { Context } from '../http/context.js';
import type { Views } from './views.js';

/** Paths of this server from which a redirect can lead to another site. */
const LEADS_AWAY = /^\/(oauth|interaction|login\/with)\//;
/** Posted to by the pages of apps, so that our policy does not apply. */
const POSTED_BY_APPS = new Set(['/oauth/authorize', '/oauth/logout']);

/** The part of a Koa context that a redirect needs. */
type RedirectContext = Pick<Context, 'method' | 'path' | 'response' | 'status' | 'type' | 'body' | 'remove'>;

export type FormNavigation = ReturnType<typeof createFormNavigation>;

export function createFormNavigation({ issuer, views }: { issuer: string; views: Views }) {
  return { replaceRedirect, continueByNavigation };

  /** Koa middleware: replaces the redirect of a form. */
  async function continueByNavigation(ctx: Context, next: Next): Promise<void> {
    await next();
    replaceRedirect(ctx);
  }

  /** Replaces the redirect of a response to a form if it can lead to another site. */
  function replaceRedirect(ctx: RedirectContext): void {
    const location = ctx.response.get('location');
    if (ctx.method !== 'POST' || !location || POSTED_BY_APPS.has(ctx.path) || !leadsAway(location)) return;
    ctx.remove('location');
    ctx.status = 200;
    ctx.type = 'html';
    ctx.body = views.render('continue', { refresh: location });
  }

  function leadsAway(location: string): boolean {
    const url = new URL(location, issuer);
    return url.origin !== issuer || LEADS_AWAY.test(url.pathname);
  }
}
