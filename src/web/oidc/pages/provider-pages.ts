/** The pages that oidc-provider shows: errors, device codes and logout. */
import type { errors, KoaContextWithOIDC } from 'oidc-provider';
import { isApiPath } from '../../http/api-paths.js';
import { keepOpener } from '../../http/security-headers.js';
import type { Views } from '../../pages/views.js';
import { ROUTES } from '../paths.js';
import type { ProviderError } from '../provider-internals.js';
import { hostOf, isUnverified } from '../storage/client-origin.js';
import { toClientView } from './client-view.js';
import type { OidcPages } from './view-models.js';

interface ErrorResponse {
  error: string;
  error_description?: string;
}

export type ProviderPages = ReturnType<typeof createProviderPages>;

export function createProviderPages({ views }: { views: Views<OidcPages> }) {
  return { error, deviceInput, deviceConfirm, deviceDone, logout, loggedOut };

  /** Responds with an error that is not sent to the redirect URI (RFC 9700, 4.11.2). */
  async function error(ctx: KoaContextWithOIDC, response: ErrorResponse, cause?: Error): Promise<void> {
    if (isApiPath(ctx.path) || ctx.accepts('html', 'json') === 'json') {
      ctx.body = response; // programs get JSON, whatever their Accept header
      return;
    }
    keepOpener(ctx as never);
    ctx.type = 'html';
    ctx.body = views.render('error', {
      heading: 'Sign-in failed',
      message: toSentence(response.error_description) ?? 'The app sent an invalid request.',
      code: response.error,
      requestId: String(ctx.res.getHeader('x-request-id') ?? ''),
      backHref:
        (cause as ProviderError | undefined)?.allow_redirect === false ? redirectTarget(ctx, response) : undefined,
    });
  }

  /**
   * Returns the redirect URI with the error, for a link on the page: see
   * `suppressErrorRedirect` in provider/events.ts.
   */
  function redirectTarget(ctx: KoaContextWithOIDC, response: ErrorResponse): string | undefined {
    const redirectUri = ctx.oidc.params?.redirect_uri ?? ctx.query.redirect_uri ?? ctx.oidc.client?.redirectUris?.[0];
    const { client } = ctx.oidc;
    if (typeof redirectUri !== 'string' || !client?.redirectUriAllowed(redirectUri)) return undefined;
    const back = new URL(redirectUri);
    for (const [name, value] of Object.entries(response))
      if (typeof value === 'string') back.searchParams.set(name, value);
    return back.href;
  }

  async function deviceInput(
    ctx: KoaContextWithOIDC,
    _form: string,
    response?: { error: string } | undefined,
    error?: Error | errors.OIDCProviderError,
  ): Promise<void> {
    const userCode = (error as ProviderError | undefined)?.userCode;
    const name = error?.name;
    if (name === 'AbortedError') {
      ctx.body = views.render('oidc/device-done', { denied: true });
      return;
    }
    const codeError =
      userCode !== undefined || name === 'NoCodeError'
        ? 'The code is wrong or has expired. Check it and try again.'
        : undefined;
    ctx.body = views.render('oidc/device-input', {
      action: ROUTES.code_verification,
      xsrf: xsrf(ctx),
      userCode,
      error: codeError ?? (response ? 'Something went wrong. Enter the code again.' : undefined),
    });
  }

  async function deviceConfirm(
    ctx: KoaContextWithOIDC,
    _form: string,
    client: Parameters<typeof toClientView>[0],
    deviceInfo: { ip?: unknown; ua?: unknown },
    userCode: string,
  ): Promise<void> {
    ctx.body = views.render('oidc/device-confirm', {
      action: ROUTES.code_verification,
      xsrf: xsrf(ctx),
      userCode,
      client: toClientView(client),
      unverified: isUnverified(client),
      device: { address: nonEmptyString(deviceInfo.ip), userAgent: nonEmptyString(deviceInfo.ua) },
    });
  }

  async function deviceDone(ctx: KoaContextWithOIDC): Promise<void> {
    ctx.body = views.render('oidc/device-done', { client: ctx.oidc.client && toClientView(ctx.oidc.client) });
  }

  async function logout(ctx: KoaContextWithOIDC): Promise<void> {
    ctx.body = views.render('oidc/logout', {
      action: `${ROUTES.end_session}/confirm`,
      xsrf: xsrf(ctx),
      client: ctx.oidc.client && toClientView(ctx.oidc.client),
    });
  }

  /** Shows that the user is signed out, with a link to `appHref` if there is one. */
  async function loggedOut(ctx: KoaContextWithOIDC, appHref?: string): Promise<void> {
    ctx.body = views.render('oidc/logged-out', {
      client: ctx.oidc.client && toClientView(ctx.oidc.client),
      loginHref: '/login',
      app: appHref === undefined ? undefined : { href: appHref, host: hostOf(appHref) ?? appHref },
    });
  }
}

const xsrf = (ctx: KoaContextWithOIDC) => String(ctx.oidc.session?.state?.secret ?? '');

const nonEmptyString = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/** Turns an error description into a sentence: a capital letter first, a full stop at the end. */
const toSentence = (description: string | undefined) =>
  description && `${description[0]!.toUpperCase()}${description.slice(1)}${/[.?!]$/.test(description) ? '' : '.'}`;
