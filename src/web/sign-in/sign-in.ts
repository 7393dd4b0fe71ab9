/** Sign-in with a password and a second factor. Combines the routes of this folder. */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import type { DeviceCookie } from '../cookies/device-cookie.js';
import type { FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import type { LoginRedirect, LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import { allowPopupOpener, createBrowserSignIn } from './browser-sign-in.js';
import { addFederation, providerButtons } from './federation.js';
import { createInvitationPages } from './invitations.js';
import { createRecoveryPages } from './recovery.js';
import { createRegistrationPages } from './registration.js';
import { createSetupPages } from './setup.js';
import { createSignOutPages } from './sign-out.js';
import type { SignInPages } from './view-models.js';

interface Deps
  extends Pick<
    Core,
    | 'signIn'
    | 'sessionIssuer'
    | 'bootstrap'
    | 'sessions'
    | 'passwords'
    | 'passwordReset'
    | 'emailVerification'
    | 'invitations'
    | 'federation'
    | 'links'
  > {
  issuer: string;
  signup: 'open' | 'closed';
  loginCookie: LoginCookie;
  deviceCookie: DeviceCookie;
  federationCookie: FederationCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<SignInPages>;
}

const PasswordForm = z.object({ csrf: field, email: field, password: field });
const SecondFactorForm = z.object({ csrf: field, challenge: field, otp: field });

export function createSignInRouter(deps: Deps): Router<State> {
  const { signIn, passwordReset, federation, signup, deviceCookie, csrf, loginRedirects, views } = deps;
  const browserSignIn = createBrowserSignIn(deps);
  const router = new Router<State>({ sensitive: true });
  router.get('/login', allowPopupOpener, showLogin).post('/login', allowPopupOpener, parseForm, signInWithPassword);
  router
    .get('/login/otp', allowPopupOpener, redirectToFirstStep)
    .post('/login/otp', allowPopupOpener, parseForm, verifySecondFactor);
  addFederation(router, { ...deps, browserSignIn, renderLogin });
  if (signup === 'open') router.use(createRegistrationPages({ ...deps, browserSignIn }).routes());
  router.use(createSetupPages({ ...deps, browserSignIn }).routes());
  router.use(createSignOutPages(deps).routes());
  router.use(createRecoveryPages(deps).routes());
  router.use(createInvitationPages(deps).routes());
  return router;

  function showLogin(ctx: Context): void {
    const loginRedirect = loginRedirects.read(ctx);
    renderLogin(ctx, loginRedirect, { email: loginRedirect.email });
  }

  async function signInWithPassword(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, email, password } = readForm(ctx, PasswordForm);
    csrf.check(ctx, token);
    try {
      await browserSignIn.proceed(
        ctx,
        loginRedirect,
        await signIn.withPassword({ email, password }, deviceCookie.read(ctx)),
      );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      renderLogin(ctx, loginRedirect, { email, error: error.message });
    }
  }

  /** Redirects to the first step, which issues the challenge that this step needs. */
  function redirectToFirstStep(ctx: Context): void {
    seeOther(ctx, loginRedirects.urlFor('/login', loginRedirects.read(ctx)));
  }

  async function verifySecondFactor(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, challenge, otp } = readForm(ctx, SecondFactorForm);
    csrf.check(ctx, token, challenge); // the challenge is valid in this browser only
    try {
      await browserSignIn.complete(
        ctx,
        await signIn.withSecondFactor(challenge, otp, deviceCookie.read(ctx)),
        loginRedirect.returnTo,
      );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      const canRetry = error.code === 'invalid_otp' || error.code === 'auth_rate_limited';
      if (canRetry) browserSignIn.renderSecondFactor(ctx, loginRedirect, challenge, error.message);
      else renderLogin(ctx, loginRedirect, { email: loginRedirect.email, error: error.message });
    }
  }

  function renderLogin(
    ctx: Context,
    loginRedirect: LoginRedirect,
    { email, error }: { email?: string; error?: string },
  ): void {
    ctx.body = views.render('sign-in/login', {
      csrfToken: csrf.tokenFor(ctx),
      action: loginRedirects.urlFor('/login', loginRedirect),
      email,
      error,
      appName: loginRedirect.appName,
      forgotHref: passwordReset.isOffered ? '/forgot-password' : undefined,
      registerHref: signup === 'open' ? loginRedirects.urlFor('/register', loginRedirect) : undefined,
      providers: providerButtons(federation, loginRedirects, loginRedirect),
    });
  }
}
