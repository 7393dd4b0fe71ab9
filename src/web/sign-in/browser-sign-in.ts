/**
 * The last step of every sign-in in a browser: a session cookie, or the page of the second factor.
 */
import type { Core } from '../../core/core.js';
import type { AuthResult } from '../../core/sign-in/complete-authentication.js';
import type { Authenticated } from '../../core/sign-in/session-issuance.js';
import type { DeviceCookie } from '../cookies/device-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import type { Context, Handler } from '../http/context.js';
import { keepOpener } from '../http/security-headers.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import type { LoginRedirect, LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import type { SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'sessionIssuer'> {
  loginCookie: LoginCookie;
  deviceCookie: DeviceCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<SignInPages>;
}

export type BrowserSignIn = ReturnType<typeof createBrowserSignIn>;

export function createBrowserSignIn({ sessionIssuer, loginCookie, deviceCookie, csrf, loginRedirects, views }: Deps) {
  return { complete, proceed, renderSecondFactor };

  /** Starts the browser session and redirects to `returnTo`. */
  async function complete(ctx: Context, authenticated: Authenticated, returnTo: string): Promise<void> {
    const current = await loginCookie.read(ctx);
    loginCookie.set(ctx, await sessionIssuer.startBrowserSession(authenticated, current, deviceCookie.issue(ctx)));
    csrf.renew(ctx);
    seeOther(ctx, returnTo);
  }

  /** Completes the sign-in, or shows the page of the second factor if it is required. */
  async function proceed(ctx: Context, loginRedirect: LoginRedirect, authResult: AuthResult): Promise<void> {
    if (authResult.kind === 'complete') await complete(ctx, authResult, loginRedirect.returnTo);
    else renderSecondFactor(ctx, loginRedirect, authResult.challenge);
  }

  /** Shows the page of the second factor. */
  function renderSecondFactor(ctx: Context, loginRedirect: LoginRedirect, challenge: string, error?: string): void {
    ctx.body = views.render('sign-in/second-factor', {
      csrfToken: csrf.tokenFor(ctx, challenge),
      action: loginRedirects.urlFor('/login/otp', loginRedirect),
      challenge,
      error,
      appName: loginRedirect.appName,
      startOverHref: loginRedirects.urlFor('/login', loginRedirect),
    });
  }
}

/**
 * Keeps `window.opener`, because an app can open a sign-in in a popup. The first middleware of each
 * sign-in page.
 */
export const allowPopupOpener: Handler = async function allowPopupOpener(ctx, next) {
  keepOpener(ctx);
  await next();
};
