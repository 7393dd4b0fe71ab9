/** Sign-in, sign-up, setup and sign-out. Knows nothing of OAuth. */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import { invalidSetupLink } from '../../core/account-management/bootstrap.js';
import type { Core } from '../../core/core.js';
import type { AuthResult } from '../../core/sign-in/complete-authentication.js';
import type { Authenticated } from '../../core/sign-in/session-issuance.js';
import type { DeviceCookie } from '../cookies/device-cookie.js';
import type { FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, Handler, State } from '../http/context.js';
import { keepOpener } from '../http/security-headers.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { renderFormErrors } from '../pages/form-errors.js';
import { type LoginRedirect, type LoginRedirects, safeReturnTo } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import { addFederation, providerButtons } from './federation.js';
import { createInvitationPages } from './invitations.js';
import { createRecoveryPages } from './recovery.js';
import type { AccountFormErrors, SignInPages } from './view-models.js';

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

const SignInForm = z.object({ csrf: field, email: field, password: field });
const FactorForm = z.object({ csrf: field, challenge: field, otp: field });
const RegisterForm = SignInForm.extend({ name: field });
const SetupForm = RegisterForm.extend({ token: field });
const SignOutForm = z.object({ csrf: field });

export function createSignInRouter({
  signIn,
  sessionIssuer,
  bootstrap,
  sessions,
  passwords,
  passwordReset,
  emailVerification,
  invitations,
  federation,
  links,
  issuer,
  signup,
  loginCookie,
  deviceCookie,
  federationCookie,
  csrf,
  loginRedirects,
  views,
}: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get('/login', allowPopupOpener, showLogin).post('/login', allowPopupOpener, parseForm, login);
  router
    .get('/login/otp', allowPopupOpener, restart)
    .post('/login/otp', allowPopupOpener, parseForm, verifySecondFactor);
  if (signup === 'open')
    router.get('/register', allowPopupOpener, showRegister).post('/register', allowPopupOpener, parseForm, register);
  const federated = { issuer, federation, links, federationCookie, loginCookie, csrf, loginRedirects };
  addFederation(router, { ...federated, allowPopupOpener, continueSignIn, renderLogin });
  router.get('/setup', showSetup).post('/setup', parseForm, completeSetup);
  router.get('/logout', showSignOut).post('/logout', parseForm, signOut);
  router.use(createRecoveryPages({ passwordReset, emailVerification, passwords, csrf, views }).routes());
  router.use(
    createInvitationPages({
      invitations,
      emailVerification,
      signup,
      loginCookie,
      csrf,
      loginRedirects,
      views,
    }).routes(),
  );
  return router;

  function showLogin(ctx: Context): void {
    const loginRedirect = loginRedirects.read(ctx);
    renderLogin(ctx, loginRedirect, { email: loginRedirect.email });
  }

  async function login(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, email, password } = readForm(ctx, SignInForm);
    csrf.check(ctx, token);
    try {
      await continueSignIn(
        ctx,
        loginRedirect,
        await signIn.withPassword({ email, password }, deviceCookie.remember(ctx)),
      );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      renderLogin(ctx, loginRedirect, { email, error: error.message });
    }
  }

  /** Completes the sign-in, or continues with the second factor. */
  async function continueSignIn(ctx: Context, loginRedirect: LoginRedirect, authResult: AuthResult): Promise<void> {
    if (authResult.kind === 'complete') await completeSignIn(ctx, authResult, loginRedirect.returnTo);
    else renderFactor(ctx, loginRedirect, authResult.challenge);
  }

  /** Redirects to the first step, because the second one needs its challenge. */
  function restart(ctx: Context): void {
    seeOther(ctx, loginRedirects.urlFor('/login', loginRedirects.read(ctx)));
  }

  async function verifySecondFactor(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, challenge, otp } = readForm(ctx, FactorForm);
    csrf.check(ctx, token, challenge); // a ticket is worth nothing in another browser
    try {
      await completeSignIn(
        ctx,
        await signIn.withSecondFactor(challenge, otp, deviceCookie.remember(ctx)),
        loginRedirect.returnTo,
      );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      const again = error.code === 'invalid_otp' || error.code === 'auth_rate_limited';
      if (again) renderFactor(ctx, loginRedirect, challenge, error.message);
      else renderLogin(ctx, loginRedirect, { email: loginRedirect.email, error: error.message });
    }
  }

  function renderFactor(ctx: Context, loginRedirect: LoginRedirect, challenge: string, error?: string): void {
    ctx.body = views.render('sign-in/factor', {
      csrfToken: csrf.tokenFor(ctx, challenge),
      action: loginRedirects.urlFor('/login/otp', loginRedirect),
      challenge,
      error,
      appName: loginRedirect.appName,
      startOverHref: loginRedirects.urlFor('/login', loginRedirect),
    });
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

  function showRegister(ctx: Context): void {
    renderRegister(ctx, loginRedirects.read(ctx), { email: queryParam(ctx, 'login_hint') }, {});
  }

  async function register(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, ...input } = readForm(ctx, RegisterForm);
    csrf.check(ctx, token);
    try {
      await completeSignIn(ctx, await signIn.register(input, ctx.state.meta), loginRedirect.returnTo);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      renderRegister(ctx, loginRedirect, input, error.fields ?? { form: error.message });
    }
  }

  function renderRegister(
    ctx: Context,
    loginRedirect: LoginRedirect,
    input: { name?: string; email?: string },
    errors: AccountFormErrors,
  ): void {
    ctx.body = views.render('sign-in/register', {
      csrfToken: csrf.tokenFor(ctx),
      action: loginRedirects.urlFor('/register', loginRedirect),
      name: input.name,
      email: input.email,
      errors,
      loginHref: loginRedirects.urlFor('/login', loginRedirect),
      passwordRule: passwords.rule,
      appName: loginRedirect.appName,
      providers: providerButtons(federation, loginRedirects, loginRedirect),
    });
  }

  async function showSetup(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    if (!(await bootstrap.isValid(token))) throw invalidSetupLink();
    renderSetup(ctx, token, {}, {});
  }

  async function completeSetup(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, ...input } = readForm(ctx, SetupForm);
    csrf.check(ctx, csrfToken);
    try {
      await bootstrap.complete(token, input, ctx.state.meta);
      await continueSignIn(
        ctx,
        { returnTo: safeReturnTo(undefined) },
        await signIn.withPassword(input, ctx.state.meta),
      );
    } catch (error) {
      if (!(error instanceof AppError) || error.status === 401) throw error;
      renderFormErrors(ctx, error);
      renderSetup(ctx, token, input, error.fields ?? { form: error.message });
    }
  }

  function renderSetup(
    ctx: Context,
    token: string,
    input: { name?: string; email?: string },
    errors: AccountFormErrors,
  ): void {
    ctx.body = views.render('sign-in/setup', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      name: input.name,
      email: input.email,
      errors,
      passwordRule: passwords.rule,
    });
  }

  async function showSignOut(ctx: Context): Promise<void> {
    const login = await loginCookie.read(ctx);
    if (!login) {
      ctx.body = views.render('sign-in/signed-out', {});
      return;
    }
    ctx.body = views.render('sign-in/sign-out', { csrfToken: csrf.tokenFor(ctx), email: login.account.email });
  }

  async function signOut(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, SignOutForm).csrf);
    const login = await loginCookie.read(ctx);
    if (login) await sessions.revoke(login.session.id, 'signed_out', ctx.state.meta);
    loginCookie.clear(ctx);
    seeOther(ctx, '/logout');
  }

  async function completeSignIn(ctx: Context, authenticated: Authenticated, returnTo: string): Promise<void> {
    const current = await loginCookie.read(ctx);
    loginCookie.set(ctx, await sessionIssuer.startBrowserSession(authenticated, current, deviceCookie.withDevice(ctx)));
    csrf.renew(ctx);
    seeOther(ctx, returnTo);
  }
}

/** An app can open these pages in a popup. */
const allowPopupOpener: Handler = async function allowPopupOpener(ctx, next) {
  keepOpener(ctx);
  await next();
};
