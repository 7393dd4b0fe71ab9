/**
 * The way to a provider elsewhere and back. It begins with a form of ours, so that no other site sends somebody on it, and ends in the
 * browser in which it began, with a sign-in or with a link for whoever is signed in.
 */
import type Router from '@koa/router';
import { z } from 'zod';
import { Refusal } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { otherPerson } from '../../core/federation/federation.js';
import type { Flow } from '../../core/federation/login-state.js';
import type { Admission } from '../../core/sign-in/sign-in.js';
import { callbackPath, type FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, formBody, queryText, readForm } from '../http/body.js';
import type { Context, Handler, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { answerFault } from '../pages/form-errors.js';
import { type Errand, type Errands, safeReturnTo } from '../pages/login-redirect.js';
import type { FederatedProvider } from './view-models.js';

interface Needs extends Pick<Core, 'federation' | 'links'> {
  issuer: string;
  federationCookie: FederationCookie;
  loginCookie: LoginCookie;
  csrf: Csrf;
  errands: Errands;
  /** What every page of a sign-in does first. */
  partOfSignIn: Handler;
  goOn(ctx: Context, errand: Errand, admission: Admission): Promise<void>;
  renderLogin(ctx: Context, errand: Errand, values: { email?: string; error?: string }): void;
}

const BeginForm = z.object({ csrf: field });
const NOWHERE: Errand = { returnTo: safeReturnTo(undefined) };
/** What goes back to the page where the link was begun, and by what name. */
const LINK_NOTICES: Record<string, string> = { conflict: 'link-taken', access_denied: 'link-refused' };

export function addFederation(router: Router<State>, needs: Needs): void {
  const { issuer, federation, links, federationCookie, loginCookie, csrf, errands, goOn, renderLogin } = needs;
  const { partOfSignIn } = needs;
  if (federation.offered.length === 0) return;
  router.post('/login/with/:provider', partOfSignIn, formBody, begin);
  router.get(callbackPath(':provider'), partOfSignIn, comeBack);

  async function begin(ctx: Context): Promise<void> {
    const errand = errands.read(ctx);
    csrf.check(ctx, readForm(ctx, BeginForm).csrf);
    const id = String(ctx.params.provider);
    try {
      const browser = federationCookie.give(ctx);
      const flow = { browser, redirectUri: issuer + callbackPath(id), note: { ...errand } };
      seeOther(ctx, await federation.begin(id, flow, ctx.state.caller));
    } catch (error) {
      refuse(ctx, errand, error);
    }
  }

  async function comeBack(ctx: Context): Promise<void> {
    let flow: Flow | undefined;
    try {
      flow = await federation.resume(String(ctx.params.provider), queryText(ctx, 'state'), federationCookie.read(ctx));
    } catch (error) {
      return refuse(ctx, NOWHERE, error);
    }
    if (flow.accountId) await link(ctx, flow, flow.accountId);
    else await signIn(ctx, flow);
  }

  async function signIn(ctx: Context, flow: Flow): Promise<void> {
    const errand = flow.note as unknown as Errand;
    try {
      const arrival = await federation.whoCame(flow, ctx.querystring, ctx.state.caller);
      if (await federation.lacksConsent(flow, arrival)) return await askConsent(ctx, flow);
      await goOn(ctx, errand, await federation.admit(arrival, undefined, ctx.state.caller));
    } catch (error) {
      refuse(ctx, errand, error);
    }
  }

  async function link(ctx: Context, flow: Flow, accountId: string): Promise<void> {
    const page = String(flow.note.page);
    const login = await loginCookie.read(ctx);
    if (login?.account.id !== accountId) throw otherPerson();
    try {
      const arrival = await federation.whoCame(flow, ctx.querystring, ctx.state.caller);
      if (await federation.lacksConsent(flow, arrival)) return await askConsent(ctx, flow);
      await links.link(login.account, arrival, ctx.state.caller);
      seeOther(ctx, `${page}?notice=linked`);
    } catch (error) {
      const notice = error instanceof Refusal ? LINK_NOTICES[error.code] : undefined;
      if (!notice) throw error;
      seeOther(ctx, `${page}?notice=${notice}`);
    }
  }

  async function askConsent(ctx: Context, flow: Flow): Promise<void> {
    seeOther(ctx, await federation.askConsent(flow, federationCookie.give(ctx)));
  }

  /** The sign-in page again, with what went wrong: there are other ways in. */
  function refuse(ctx: Context, errand: Errand, error: unknown): void {
    if (!(error instanceof Refusal) || error.status === 404) throw error;
    answerFault(ctx, error);
    renderLogin(ctx, errand, { email: errand.email, error: error.message });
  }
}

/** The buttons of a page, with where the person goes afterwards. */
export function providerButtons(
  { offered }: Core['federation'],
  errands: Errands,
  errand: Errand,
): FederatedProvider[] {
  return offered.map(({ id, name }) => ({ name, action: errands.href(`/login/with/${id}`, errand) }));
}
