/**
 * Signs users in with Google, GitHub and other providers, and starts a session of the service. The
 * two handlers are functions from Web `Request` to `Response`.
 */
import { authError, errorResponse } from '../auth-error.js';
import { parseDurationOrThrow } from '../duration.js';
import { readCookie } from '../headers.js';
import { signSession } from '../session.js';
import { beginFlow, FLOW_SECONDS, resumeFlow } from './flow.js';
import { InvalidCode, ProviderFailed, readProfile } from './profile.js';
import type { OAuthProfile, OAuthProvider } from './providers.js';

export interface OAuthHandlersOptions {
  providers: OAuthProvider[];
  sessionSecret: string;
  /** The path of the redirect URI that is registered at the providers. */
  callbackPath?: string;
  /** The path before the name of a provider. */
  loginPath?: string;
  /** The path that users are sent to after the sign-in. Not a URL, to prevent open redirects. */
  redirectTo?: string;
  sessionMaxAge?: string;
  cookies?: { state?: string; session?: string };
  /** The public origin of this service. Default: that of the request URL. Set it behind a proxy. */
  origin?: string;
  /**
   * Returns the account of a user, or null to reject the sign-in. Default: a session with the id
   * `provider:id`, and the e-mail address if the provider verified it. Never look up an account by
   * an unverified address.
   */
  onSignIn?(profile: OAuthProfile, provider: string): Promise<SignedIn | null> | SignedIn | null;
  fetch?: typeof fetch;
}

export interface SignedIn {
  userId: string;
  email?: string;
  role?: string;
}

/** Creates the handlers. Throws a TypeError for invalid options. */
export function createOAuthHandlers(options: OAuthHandlersOptions) {
  const { sessionSecret, callbackPath = '/auth/callback', loginPath = '/auth/login', redirectTo = '/' } = options;
  const { sessionMaxAge = '7d', onSignIn = toSignedIn, fetch: request = fetch } = options;
  const { state: stateCookie = 'capstan_oauth_state', session: sessionCookie = 'capstan_session' } =
    options.cookies ?? {};
  const providers = new Map(options.providers.map((provider) => [provider.name, provider]));
  if (!sessionSecret) throw new TypeError('sessionSecret is empty');
  if (!/^\/(?![/\\])/.test(redirectTo)) throw new TypeError('redirectTo must be a path of this service');
  for (const name of providers.keys()) {
    if (!/^[\w-]+$/.test(name)) {
      throw new TypeError(`"${name}" is not a provider name: use letters, digits, _ and - only`);
    }
  }
  const sessionSeconds = parseDurationOrThrow('sessionMaxAge', sessionMaxAge);

  return { login, callback };

  /** `GET <loginPath>/<provider>`: sets the state cookie, and redirects to the provider. */
  async function login(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const provider = pathname.startsWith(`${loginPath}/`)
      ? providers.get(pathname.slice(loginPath.length + 1))
      : undefined;
    if (!provider) return errorResponse(authError(404, 'not_found', 'There is no such provider.'));
    const flow = beginFlow(provider.name, sessionSecret);
    const authorizationUrl = new URL(provider.authorizationUrl);
    const params = {
      response_type: 'code',
      client_id: provider.clientId,
      redirect_uri: redirectUri(request),
      scope: provider.scope,
      state: flow.state,
      code_challenge: flow.challenge,
      code_challenge_method: 'S256',
      ...(provider.openId && { nonce: flow.nonce }),
    };
    for (const [name, value] of Object.entries(params)) authorizationUrl.searchParams.set(name, value);
    return redirect(authorizationUrl.href, [serializeCookie(request, stateCookie, flow.state, FLOW_SECONDS)]);
  }

  /** `GET <callbackPath>`: completes the sign-in, only in the browser that started it. */
  async function callback(callbackRequest: Request): Promise<Response> {
    const clearState = serializeCookie(callbackRequest, stateCookie, '', 0);
    const { searchParams } = new URL(callbackRequest.url);
    const flow = resumeFlow(searchParams.get('state'), readCookie(callbackRequest, stateCookie), sessionSecret);
    const provider = flow && providers.get(flow.provider);
    if (!flow || !provider) {
      return fail(400, 'invalid_state', 'This sign-in was not started in this browser, or has expired.');
    }
    const [code, issuer] = [searchParams.get('code'), searchParams.get('iss')];
    if (issuer && provider.openId && !provider.openId.issuers.includes(issuer)) {
      return fail(400, 'invalid_issuer', 'The response comes from another provider.'); // RFC 9207
    }
    if (!code) return fail(400, 'access_denied', 'The provider did not sign you in.');
    try {
      const profile = await readProfile({ provider, flow, code, redirectUri: redirectUri(callbackRequest), request });
      const user = await onSignIn(profile, provider.name);
      if (!user) return fail(403, 'access_denied', 'You do not have an account here.');
      const session = signSession(user, sessionSecret, sessionMaxAge);
      return redirect(redirectTo, [
        clearState,
        serializeCookie(callbackRequest, sessionCookie, session, sessionSeconds),
      ]);
    } catch (error) {
      if (error instanceof InvalidCode) return fail(400, 'invalid_grant', 'This code is invalid or has expired.');
      if (error instanceof ProviderFailed) {
        return fail(502, 'upstream_invalid_response', 'The provider did not respond as expected.');
      }
      throw error;
    }

    function fail(status: number, code: string, description: string): Response {
      return errorResponse(authError(status, code, description, { 'Set-Cookie': clearState }));
    }
  }

  function originOf(request: Request): string {
    return new URL(options.origin ?? request.url).origin;
  }

  function redirectUri(request: Request): string {
    return originOf(request) + callbackPath;
  }

  /** Uses SameSite=Lax, because the redirect from the provider comes from another site. */
  function serializeCookie(request: Request, name: string, value: string, seconds: number): string {
    const secure = originOf(request).startsWith('https:') ? '; Secure' : '';
    return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  }
}

const toSignedIn = ({ id, email, emailVerified }: OAuthProfile, provider: string): SignedIn => ({
  userId: `${provider}:${id}`,
  ...(emailVerified && email && { email }),
});

function redirect(to: string, cookies: string[]): Response {
  const headers = new Headers({ Location: to, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
  for (const value of cookies) headers.append('Set-Cookie', value);
  return new Response(null, { status: 302, headers });
}
