/** The door of a person arriving: sign in, make an account, set the server up, sign out. It knows nothing of OAuth. */
import Router from '@koa/router';
import { z } from 'zod';
import { Refusal } from '../../base/app-error.js';
import { setupLinkSpent } from '../../core/account-management/bootstrap.js';
import type { Core } from '../../core/core.js';
import type { Proven } from '../../core/sign-in/session-issuance.js';
import type { Admission } from '../../core/sign-in/sign-in.js';
import type { DeviceCookie } from '../cookies/device-cookie.js';
import type { FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, formBody, queryText, readForm } from '../http/body.js';
import type { Context, Handler, State } from '../http/context.js';
import { keepOpener } from '../http/security-headers.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { answerFault } from '../pages/form-errors.js';
import { type Errand, type Errands, safeReturnTo } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import { addFederation, providerButtons } from './federation.js';
import { createInvitationPages } from './invitations.js';
import { createRecoveryPages } from './recovery.js';
import type { AccountFormErrors, SignInPages } from './view-models.js';

interface Needs
  extends Pick<
    Core,
    'signIn' | 'setup' | 'sessions' | 'passwords' | 'recovery' | 'verification' | 'invitations' | 'federation' | 'links'
  > {
  issuer: string;
  signup: 'open' | 'closed';
  loginCookie: LoginCookie;
  deviceCookie: DeviceCookie;
  federationCookie: FederationCookie;
  csrf: Csrf;
  errands: Errands;
  views: Views<SignInPages>;
}

const SignInForm = z.object({ csrf: field, email: field, password: field });
const FactorForm = z.object({ csrf: field, ticket: field, otp: field });
const RegisterForm = SignInForm.extend({ name: field });
const SetupForm = RegisterForm.extend({ token: field });
const SignOutForm = z.object({ csrf: field });

export function createSignInDoor({
  signIn,
  setup,
  sessions,
  passwords,
  recovery,
  verification,
  invitations,
  federation,
  links,
  issuer,
  signup,
  loginCookie,
  deviceCookie,
  federationCookie,
  csrf,
  errands,
  views,
}: Needs): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get('/login', partOfSignIn, showLogin).post('/login', partOfSignIn, formBody, login);
  router.get('/login/otp', partOfSignIn, startOver).post('/login/otp', partOfSignIn, formBody, proveFactor);
  if (signup === 'open')
    router.get('/register', partOfSignIn, showRegister).post('/register', partOfSignIn, formBody, register);
  const federated = { issuer, federation, links, federationCookie, loginCookie, csrf, errands };
  addFederation(router, { ...federated, partOfSignIn, goOn, renderLogin });
  router.get('/setup', showSetup).post('/setup', formBody, completeSetup);
  router.get('/logout', showSignOut).post('/logout', formBody, signOut);
  router.use(createRecoveryPages({ recovery, verification, passwords, csrf, views }).routes());
  router.use(createInvitationPages({ invitations, verification, signup, loginCookie, csrf, errands, views }).routes());
  return router;

  function showLogin(ctx: Context): void {
    const errand = errands.read(ctx);
    renderLogin(ctx, errand, { email: errand.email });
  }

  async function login(ctx: Context): Promise<void> {
    const errand = errands.read(ctx);
    const { csrf: token, email, password } = readForm(ctx, SignInForm);
    csrf.check(ctx, token);
    try {
      await goOn(ctx, errand, await signIn.withPassword({ email, password }, deviceCookie.recognise(ctx)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answerFault(ctx, error);
      renderLogin(ctx, errand, { email, error: error.message });
    }
  }

  /** In, or to the second step. */
  async function goOn(ctx: Context, errand: Errand, admission: Admission): Promise<void> {
    if (admission.kind === 'proven') await arrive(ctx, admission, errand.returnTo);
    else renderFactor(ctx, errand, admission.ticket);
  }

  /** The second step begins with the first one: there is nothing to show to who did not come by it. */
  function startOver(ctx: Context): void {
    seeOther(ctx, errands.href('/login', errands.read(ctx)));
  }

  async function proveFactor(ctx: Context): Promise<void> {
    const errand = errands.read(ctx);
    const { csrf: token, ticket, otp } = readForm(ctx, FactorForm);
    csrf.check(ctx, token, ticket); // a ticket is worth nothing in another browser
    try {
      await arrive(ctx, await signIn.withSecondFactor(ticket, otp, deviceCookie.recognise(ctx)), errand.returnTo);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answerFault(ctx, error);
      const again = error.code === 'invalid_otp' || error.code === 'auth_rate_limited';
      if (again) renderFactor(ctx, errand, ticket, error.message);
      else renderLogin(ctx, errand, { email: errand.email, error: error.message });
    }
  }

  function renderFactor(ctx: Context, errand: Errand, ticket: string, error?: string): void {
    ctx.body = views.render('sign-in/factor', {
      csrfToken: csrf.tokenFor(ctx, ticket),
      action: errands.href('/login/otp', errand),
      ticket,
      error,
      appName: errand.appName,
      startOverHref: errands.href('/login', errand),
    });
  }

  function renderLogin(ctx: Context, errand: Errand, { email, error }: { email?: string; error?: string }): void {
    ctx.body = views.render('sign-in/login', {
      csrfToken: csrf.tokenFor(ctx),
      action: errands.href('/login', errand),
      email,
      error,
      appName: errand.appName,
      forgotHref: recovery.isOffered ? '/forgot-password' : undefined,
      registerHref: signup === 'open' ? errands.href('/register', errand) : undefined,
      providers: providerButtons(federation, errands, errand),
    });
  }

  function showRegister(ctx: Context): void {
    renderRegister(ctx, errands.read(ctx), { email: queryText(ctx, 'login_hint') }, {});
  }

  async function register(ctx: Context): Promise<void> {
    const errand = errands.read(ctx);
    const { csrf: token, ...input } = readForm(ctx, RegisterForm);
    csrf.check(ctx, token);
    try {
      await arrive(ctx, await signIn.register(input, ctx.state.caller), errand.returnTo);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answerFault(ctx, error);
      renderRegister(ctx, errand, input, error.fields ?? { form: error.message });
    }
  }

  function renderRegister(
    ctx: Context,
    errand: Errand,
    input: { name?: string; email?: string },
    errors: AccountFormErrors,
  ): void {
    ctx.body = views.render('sign-in/register', {
      csrfToken: csrf.tokenFor(ctx),
      action: errands.href('/register', errand),
      name: input.name,
      email: input.email,
      errors,
      loginHref: errands.href('/login', errand),
      passwordRule: passwords.rule,
      appName: errand.appName,
      providers: providerButtons(federation, errands, errand),
    });
  }

  async function showSetup(ctx: Context): Promise<void> {
    const token = queryText(ctx, 'token') ?? '';
    if (!(await setup.isValid(token))) throw setupLinkSpent();
    renderSetup(ctx, token, {}, {});
  }

  async function completeSetup(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, ...input } = readForm(ctx, SetupForm);
    csrf.check(ctx, csrfToken);
    try {
      await setup.complete(token, input, ctx.state.caller);
      await goOn(ctx, { returnTo: safeReturnTo(undefined) }, await signIn.withPassword(input, ctx.state.caller));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status === 401) throw error;
      answerFault(ctx, error);
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
    if (login) await sessions.end(login.session.id, 'signed_out', ctx.state.caller);
    loginCookie.clear(ctx);
    seeOther(ctx, '/logout');
  }

  async function arrive(ctx: Context, proven: Proven, returnTo: string): Promise<void> {
    const current = await loginCookie.read(ctx);
    loginCookie.set(ctx, await signIn.openInBrowser(proven, current, deviceCookie.callerOf(ctx)));
    csrf.renew(ctx);
    seeOther(ctx, returnTo);
  }
}

/** These pages are steps of an app's sign-in, which may run in a popup. */
const partOfSignIn: Handler = async function partOfSignIn(ctx, next) {
  keepOpener(ctx);
  await next();
};
