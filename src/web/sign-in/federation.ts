/**
 * Sign-in with an external provider, and the callback when a user links one. Only a form of our
 * pages can start it, and the callback must come from the same browser.
 */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { accountMismatch } from '../../core/federation/federation.js';
import type { PendingLogin } from '../../core/federation/pending-logins.js';
import { callbackPath, type FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import { type LoginRedirect, type LoginRedirects, safeReturnTo } from '../pages/login-redirect.js';
import { allowPopupOpener, type BrowserSignIn } from './browser-sign-in.js';
import type { FederatedProvider } from './view-models.js';

interface Deps extends Pick<Core, 'federation' | 'links'> {
  issuer: string;
  federationCookie: FederationCookie;
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  browserSignIn: BrowserSignIn;
  renderLogin(ctx: Context, loginRedirect: LoginRedirect, values: { email?: string; error?: string }): void;
}

const CsrfForm = z.object({ csrf: field });
const NO_REDIRECT: LoginRedirect = { returnTo: safeReturnTo(undefined) };
/** The value of `?notice=` on the security page, by the error code. */
const LINK_NOTICES: Record<string, string> = { conflict: 'link-taken', access_denied: 'link-canceled' };

export function addFederation(router: Router<State>, deps: Deps): void {
  const { issuer, federation, links, federationCookie, loginCookie, csrf, loginRedirects } = deps;
  const { browserSignIn, renderLogin } = deps;
  if (federation.signInProviders.length === 0) return;
  router.post('/login/with/:provider', allowPopupOpener, parseForm, redirectToProvider);
  router.get(callbackPath(':provider'), allowPopupOpener, handleCallback);

  async function redirectToProvider(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    const id = String(ctx.params.provider);
    try {
      const browserKey = federationCookie.issue(ctx);
      const flow = { redirectUri: issuer + callbackPath(id), data: { ...loginRedirect } };
      seeOther(ctx, await federation.beginLogin(id, flow, browserKey, ctx.state.meta));
    } catch (error) {
      renderError(ctx, loginRedirect, error);
    }
  }

  async function handleCallback(ctx: Context): Promise<void> {
    let flow: PendingLogin | undefined;
    try {
      flow = await federation.resumeLogin(
        String(ctx.params.provider),
        queryParam(ctx, 'state'),
        federationCookie.read(ctx),
      );
    } catch (error) {
      return renderError(ctx, NO_REDIRECT, error);
    }
    if (flow.accountId) await link(ctx, flow, flow.accountId);
    else await signIn(ctx, flow);
  }

  async function signIn(ctx: Context, flow: PendingLogin): Promise<void> {
    const loginRedirect = flow.data as unknown as LoginRedirect;
    try {
      const externalLogin = await federation.completeCallback(flow, ctx.querystring, ctx.state.meta);
      if (await federation.needsRefreshConsent(flow, externalLogin)) return await restartWithConsent(ctx, flow);
      await browserSignIn.proceed(
        ctx,
        loginRedirect,
        await federation.authenticate(externalLogin, undefined, ctx.state.meta),
      );
    } catch (error) {
      renderError(ctx, loginRedirect, error);
    }
  }

  async function link(ctx: Context, flow: PendingLogin, accountId: string): Promise<void> {
    const page = String(flow.data.page);
    const authenticated = await loginCookie.read(ctx);
    if (authenticated?.account.id !== accountId) throw accountMismatch();
    try {
      const externalLogin = await federation.completeCallback(flow, ctx.querystring, ctx.state.meta);
      if (await federation.needsRefreshConsent(flow, externalLogin)) return await restartWithConsent(ctx, flow);
      await links.link(authenticated, externalLogin, ctx.state.meta);
      seeOther(ctx, `${page}?notice=linked`);
    } catch (error) {
      const notice = error instanceof AppError ? LINK_NOTICES[error.code] : undefined;
      if (!notice) throw error;
      seeOther(ctx, `${page}?notice=${notice}`);
    }
  }

  async function restartWithConsent(ctx: Context, flow: PendingLogin): Promise<void> {
    seeOther(ctx, await federation.restartWithConsent(flow, federationCookie.issue(ctx)));
  }

  /** Shows the sign-in page with the error, because other sign-in methods may work. */
  function renderError(ctx: Context, loginRedirect: LoginRedirect, error: unknown): void {
    if (!(error instanceof AppError) || error.status === 404) throw error;
    setErrorStatus(ctx, error);
    renderLogin(ctx, loginRedirect, { email: loginRedirect.email, error: error.message });
  }
}

/** Returns the buttons of the providers. They preserve the user's destination. */
export function providerButtons(
  { signInProviders }: Core['federation'],
  loginRedirects: LoginRedirects,
  loginRedirect: LoginRedirect,
): FederatedProvider[] {
  return signInProviders.map(({ id, name }) => ({
    name,
    action: loginRedirects.urlFor(`/login/with/${id}`, loginRedirect),
  }));
}
