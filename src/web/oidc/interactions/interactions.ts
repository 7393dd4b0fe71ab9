/**
 * Interactions (`/interaction/:uid`). Shows the page that an authorization request needs next; the
 * interaction policy decides whether a sign-in or consent is missing. Each step redirects back
 * here.
 */
import { errors } from 'oidc-provider';
import { z } from 'zod';
import { AppError } from '../../../base/app-error.js';
import { type Clock, epochSeconds } from '../../../base/clock.js';
import type { Consents } from '../../../core/consents/consents.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import { readForm } from '../../http/body.js';
import type { Context } from '../../http/context.js';
import { keepOpener } from '../../http/security-headers.js';
import { seeOther } from '../../http/see-other.js';
import type { Csrf } from '../../pages/csrf.js';
import type { LoginRedirects } from '../../pages/login-redirect.js';
import type { Providers } from '../provider/provider.js';
import type { ConsentPage } from './consent-page.js';
import { type Client, type Interaction, loginRedirectFor, type Provider } from './interaction.js';

interface Deps {
  clock: Clock;
  consents: Consents;
  consentPage: ConsentPage;
  providers: Providers;
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
}

const DecisionForm = z.object({ csrf: z.string(), decision: z.enum(['allow', 'deny']) });

/**
 * Reasons for a sign-in that any active session satisfies. All others require a new authentication.
 */
const SATISFIED_BY_SESSION = new Set(['no_session']);

export function createInteractions({
  clock,
  consents,
  consentPage,
  providers,
  loginCookie,
  csrf,
  loginRedirects,
}: Deps) {
  return { showNextStep, submitDecision };

  /** GET: redirects to the sign-in page, shows the consent page, or continues the authorization. */
  async function showNextStep(ctx: Context): Promise<void> {
    keepOpener(ctx);
    const { provider, interaction, client } = await loadInteraction(ctx);
    const authenticated = await loginCookie.read(ctx);
    if (interaction.prompt.name === 'login') {
      // Called even without a session, because it stores the time of the first visit.
      const notBefore = await requiredAuthTime(interaction);
      if (!authenticated || authenticated.session.authTime.getTime() <= notBefore)
        return redirectToSignIn(ctx, interaction, client);
      return continueSignIn(ctx, provider, interaction, authenticated);
    }
    if (!authenticated) return redirectToSignIn(ctx, interaction, client);
    // The user has switched accounts, so the provider must determine the missing consent again.
    if (interaction.session?.accountId !== authenticated.account.id)
      return continueSignIn(ctx, provider, interaction, authenticated);
    await consentPage.show(ctx, interaction, client, authenticated);
  }

  /** POST: stores the user's decision on the consent page. */
  async function submitDecision(ctx: Context): Promise<void> {
    keepOpener(ctx);
    const { csrf: token, decision } = readForm(ctx, DecisionForm);
    csrf.check(ctx, token);
    const { provider, interaction, client } = await loadInteraction(ctx);
    const authenticated = await loginCookie.read(ctx);
    if (
      interaction.prompt.name !== 'consent' ||
      interaction.session?.accountId !== authenticated?.account.id ||
      !authenticated
    ) {
      return seeOther(ctx, `/interaction/${interaction.uid}`);
    }
    if (decision === 'deny') {
      await consents.deny(authenticated.account.id, client.clientId, ctx.state.meta);
      const denied = { error: 'access_denied', error_description: 'The user denied the request.' };
      return seeOther(
        ctx,
        await provider.interactionResult(ctx.req, ctx.res, denied, { mergeWithLastSubmission: false }),
      );
    }
    await consents.grant(
      authenticated,
      client.clientId,
      await consentPage.requestedAccess(interaction, client),
      ctx.state.meta,
    );
    seeOther(
      ctx,
      await provider.interactionResult(ctx.req, ctx.res, { consent: {} }, { mergeWithLastSubmission: true }),
    );
  }

  /** Returns the interaction of the URL. Throws `AppError` `invalid_request` if it has expired. */
  async function loadInteraction(ctx: Context) {
    const { main: provider } = await providers.current();
    try {
      const interaction = await provider.interactionDetails(ctx.req, ctx.res);
      const client = await provider.Client.find(String(interaction.params.client_id));
      if (!client || interaction.uid !== ctx.params.uid) throw new errors.SessionNotFound('no such interaction');
      return { provider, interaction, client };
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound)) throw error;
      throw new AppError(400, 'invalid_request', 'This sign-in has expired. Go back to the app and start again.');
    }
  }

  function redirectToSignIn(ctx: Context, { uid, params }: Interaction, client: Client): void {
    const email =
      typeof params.login_hint === 'string' && params.login_hint.includes('@') ? params.login_hint : undefined;
    seeOther(ctx, loginRedirects.urlFor('/login', { ...loginRedirectFor(uid, client), email }));
  }

  /**
   * Returns the time in ms since 1970 after which the user must have authenticated. 0 if any active
   * session is enough, otherwise the time of the first visit.
   */
  async function requiredAuthTime(interaction: Interaction): Promise<number> {
    if (interaction.prompt.reasons.every((reason) => SATISFIED_BY_SESSION.has(reason))) return 0;
    const firstVisit = interaction.result?.asked as { at: number } | undefined;
    if (firstVisit) return firstVisit.at;
    const at = clock.now().getTime();
    interaction.result = { asked: { at } };
    await interaction.persist();
    return at;
  }

  /** Passes the session to the provider, which continues the authorization. */
  async function continueSignIn(
    ctx: Context,
    provider: Provider,
    interaction: Interaction,
    { account, session, amr }: AuthenticatedSession,
  ): Promise<void> {
    if (interaction.session && interaction.session.uid !== session.id) {
      interaction.session = undefined; // the interaction began in an earlier session
      await interaction.persist();
    }
    const login = { accountId: account.id, ts: epochSeconds(session.authTime), amr };
    seeOther(ctx, await provider.interactionResult(ctx.req, ctx.res, { login }, { mergeWithLastSubmission: false }));
  }
}
