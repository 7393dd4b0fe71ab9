/** Links and unlinks external providers. Each change requires recent authentication. */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { callbackPath, type FederationCookie } from '../cookies/federation-cookie.js';
import { field, parseForm, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { type Guards, sessionOf } from './guards.js';
import { SECURITY_PATH } from './security.js';

interface Deps extends Pick<Core, 'federation' | 'links'> {
  issuer: string;
  federationCookie: FederationCookie;
  csrf: Csrf;
  guards: Guards;
}

const LinkForm = z.object({ csrf: z.string(), provider: field });
const UnlinkForm = z.object({ csrf: z.string(), id: field });

/** Adds the routes of these forms, which are on the security page. */
export function addLinks(router: Router<State>, deps: Deps): void {
  const { federation, links, issuer, federationCookie, csrf, guards } = deps;
  const requireRecentAuthentication = guards.requireRecentAuthentication(SECURITY_PATH);
  if (federation.signInProviders.length > 0)
    router.post(`${SECURITY_PATH}/link`, requireRecentAuthentication, parseForm, link);
  router.post(`${SECURITY_PATH}/unlink`, requireRecentAuthentication, parseForm, unlink);

  /**
   * Redirects to the provider. Its callback URL is the one of a sign-in, because providers require
   * each callback URL to be registered. sign-in/federation.ts handles it.
   */
  async function link(ctx: Context): Promise<void> {
    const { csrf: token, provider } = readForm(ctx, LinkForm);
    csrf.check(ctx, token);
    const flow = {
      redirectUri: issuer + callbackPath(provider),
      accountId: sessionOf(ctx).account.id,
      data: { page: SECURITY_PATH },
    };
    seeOther(ctx, await federation.beginLogin(provider, flow, federationCookie.issue(ctx), ctx.state.meta));
  }

  async function unlink(ctx: Context): Promise<void> {
    const { csrf: token, id } = readForm(ctx, UnlinkForm);
    csrf.check(ctx, token);
    try {
      await links.unlink(sessionOf(ctx), id, ctx.state.meta);
      seeOther(ctx, `${SECURITY_PATH}?notice=unlinked`);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'conflict') throw error;
      seeOther(ctx, `${SECURITY_PATH}?notice=last-sign-in-method`);
    }
  }
}
