/**
 * Signing people in at Google, GitHub and others: two handlers, from Web Request to Response, and a
 * session of the service's own.
 */

import { refusal, refusalResponse } from '../auth-error.js';
import { parseDurationOrThrow } from '../duration.js';
import { readCookie } from '../headers.js';
import { signSession } from '../session.js';
import { beginFlow, FLOW_SECONDS, resumeFlow } from './flow.js';
import { CodeRefused, ProviderFailed, readProfile } from './profile.js';
import type { OAuthProfile, OAuthProvider } from './providers.js';

export interface OAuthHandlersOptions {
  providers: OAuthProvider[];
  sessionSecret: string;
  /** Its path is registered at the providers, under the origin of this service. */
  callbackPath?: string;
  /** Before the name of a provider. */
  loginPath?: string;
  /** Where everybody goes afterwards. A path: nobody is sent elsewhere. */
  redirectTo?: string;
  sessionMaxAge?: string;
  cookies?: { state?: string; session?: string };
  /**
   * The origin that the world knows this service by. Else that of the request's URL: behind a
   * proxy, name it.
   */
  origin?: string;
  /**
   * Who this is here; null for nobody, who is then refused. Without it, a session has the id
   * `provider:id`, and the address only if the provider vouches for it. An address that is not
   * verified belongs to nobody: never find an account by it.
   */
  onSignIn?(profile: OAuthProfile, provider: string): Promise<SignedIn | null> | SignedIn | null;
  fetch?: typeof fetch;
}

export interface SignedIn {
  userId: string;
  email?: string;
  role?: string;
}

export function createOAuthHandlers(options: OAuthHandlersOptions) {
  const { sessionSecret, callbackPath = '/auth/callback', loginPath = '/auth/login', redirectTo = '/' } = options;
  const { sessionMaxAge = '7d', onSignIn = asTheyAre, fetch: ask = fetch } = options;
  const { state: stateCookie = 'capstan_oauth_state', session: sessionCookie = 'capstan_session' } =
    options.cookies ?? {};
  const providers = new Map(options.providers.map((provider) => [provider.name, provider]));
  if (!sessionSecret) throw new TypeError('sessionSecret is empty');
  if (!/^\/(?![/\\])/.test(redirectTo)) throw new TypeError('redirectTo must be a path of this service');
  for (const name of providers.keys()) {
    if (!/^[\w-]+$/.test(name))
      throw new TypeError(`A provider cannot be called ${name}: letters, digits, _ and - only`);
  }
  const sessionSeconds = parseDurationOrThrow('sessionMaxAge', sessionMaxAge);

  return { login, callback };

  /**
   * `GET <loginPath>/<provider>`: remembers that this browser began, and sends it to the provider.
   */
  async function login(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const provider = pathname.startsWith(`${loginPath}/`)
      ? providers.get(pathname.slice(loginPath.length + 1))
      : undefined;
    if (!provider) return refusalResponse(refusal(404, 'not_found', 'There is no such provider.'));
    const flow = beginFlow(provider.name, sessionSecret);
    const to = new URL(provider.authorizationUrl);
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
    for (const [name, value] of Object.entries(params)) to.searchParams.set(name, value);
    return redirect(to.href, [cookie(request, stateCookie, flow.state, FLOW_SECONDS)]);
  }

  /** `GET <callbackPath>`: only for the browser that began, and once. */
  async function callback(request: Request): Promise<Response> {
    const over = cookie(request, stateCookie, '', 0);
    const { searchParams } = new URL(request.url);
    const flow = resumeFlow(searchParams.get('state'), readCookie(request, stateCookie), sessionSecret);
    const provider = flow && providers.get(flow.provider);
    if (!flow || !provider) return no(400, 'invalid_state', 'This sign-in did not begin here, or too long ago.');
    const [code, issuer] = [searchParams.get('code'), searchParams.get('iss')];
    if (issuer && provider.openId && !provider.openId.issuers.includes(issuer)) {
      return no(400, 'invalid_issuer', 'Another provider answers than was asked.'); // RFC 9207
    }
    if (!code) return no(400, 'access_denied', 'The provider did not sign you in.');
    try {
      const profile = await readProfile({ provider, flow, code, redirectUri: redirectUri(request), ask });
      const person = await onSignIn(profile, provider.name);
      if (!person) return no(403, 'access_denied', 'You are not known here.');
      const session = signSession(person, sessionSecret, sessionMaxAge);
      return redirect(redirectTo, [over, cookie(request, sessionCookie, session, sessionSeconds)]);
    } catch (error) {
      if (error instanceof CodeRefused) return no(400, 'invalid_grant', 'This code is not valid, or no longer.');
      if (error instanceof ProviderFailed)
        return no(502, 'upstream_invalid_response', 'The provider could not be asked.');
      throw error;
    }

    function no(status: number, code: string, why: string): Response {
      return refusalResponse(refusal(status, code, why, { 'Set-Cookie': over }));
    }
  }

  function originOf(request: Request): string {
    return new URL(options.origin ?? request.url).origin;
  }

  function redirectUri(request: Request): string {
    return originOf(request) + callbackPath;
  }

  /** SameSite=Lax: the way back from a provider is a link from another site. */
  function cookie(request: Request, name: string, value: string, seconds: number): string {
    const secure = originOf(request).startsWith('https:') ? '; Secure' : '';
    return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  }
}

const asTheyAre = ({ id, email, emailVerified }: OAuthProfile, provider: string): SignedIn => ({
  userId: `${provider}:${id}`,
  ...(emailVerified && email && { email }),
});

function redirect(to: string, cookies: string[]): Response {
  const headers = new Headers({ Location: to, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
  for (const one of cookies) headers.append('Set-Cookie', one);
  return new Response(null, { status: 302, headers });
}
