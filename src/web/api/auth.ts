/** Sign-up, sign-in, refresh and sign-out through the JSON API. */
import { z } from 'zod';
import { invalidRequest, unauthorized } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import { SIGN_IN_ERRORS } from '../endpoints/documented-errors.js';
import type { Api } from '../endpoints/endpoints.js';
import { extractCredential } from '../endpoints/extract-credential.js';
import { boundedString } from '../endpoints/json-body.js';
import { requireCompleteAuthentication } from '../endpoints/require-complete.js';
import type { Context } from '../http/context.js';
import type { ApiCookies } from './cookies.js';
import {
  AccessTokenResponse,
  accessTokenResponse,
  MessageResponse,
  TokenResponse,
  UserSchema,
  type UserSerializer,
} from './schemas.js';

interface Deps extends Pick<Core, 'signIn' | 'sessionIssuer' | 'credentials' | 'tokens' | 'sessions'> {
  api: Api;
  cookies: ApiCookies;
  userSerializer: UserSerializer;
  signup: 'open' | 'closed';
}

const RegistrationBody = z.object({
  email: boundedString(),
  password: boundedString(),
  name: boundedString().optional(),
  full_name: boundedString().optional(),
});
const LoginBody = z
  .object({
    email: boundedString().optional(),
    username: boundedString().optional(),
    password: boundedString(),
    otp: boundedString().optional(),
  })
  .refine(({ email, username }) => email !== undefined || username !== undefined, {
    path: ['email'],
    message: 'Enter an e-mail address.',
    when: ({ value }) => typeof value === 'object' && value !== null, // also reported if the password is missing
  });
const RefreshBody = z.object({ refreshToken: boundedString().optional(), refresh_token: boundedString().optional() });
const CookieResponse = z.object({ csrf_token: z.string(), user: UserSchema }).meta({ id: 'CookieAnswer' });

const LOGIN_DESCRIPTION = `
Sets the session cookies if the request comes from a page of this origin or of an allowed one. A client that sends neither
\`Origin\` nor \`Sec-Fetch-Site\` receives the tokens only.`.trim();
const REFRESH_DESCRIPTION = `
Exchanges a refresh token in the body for new tokens. Without one, renews the access token in the header while its session is
active. Without either, exchanges the refresh cookie and sets new cookies.`.trim();

export function addAuth({
  api,
  cookies,
  userSerializer,
  signup,
  signIn,
  sessionIssuer,
  credentials,
  tokens,
  sessions,
}: Deps): void {
  if (signup === 'open') {
    api.post(
      '/api/v1/auth/register',
      {
        summary: 'Create an account and sign in',
        accepts: [],
        body: RegistrationBody,
        response: [201, TokenResponse],
        errors: ['conflict', 'auth_rate_limited'],
      },
      register,
    );
  }
  api.post(
    '/api/v1/auth/login',
    {
      summary: 'Sign in',
      description: LOGIN_DESCRIPTION,
      accepts: [],
      body: LoginBody,
      form: true,
      response: [200, TokenResponse.extend({ csrf_token: z.string() })],
      errors: [...SIGN_IN_ERRORS, 'csrf_validation_failed'],
    },
    login,
  );
  api.post(
    '/api/v1/auth/login-json',
    {
      summary: 'Sign in without cookies',
      accepts: [],
      body: LoginBody,
      response: [200, TokenResponse],
      errors: SIGN_IN_ERRORS,
    },
    loginJson,
  );
  api.post(
    '/api/v1/auth/refresh',
    {
      summary: 'Refresh tokens',
      description: REFRESH_DESCRIPTION,
      accepts: [],
      documentedCredentials: ['bearer', 'refreshCookie'],
      limit: 'default',
      body: RefreshBody,
      response: [200, z.union([TokenResponse, AccessTokenResponse, CookieResponse])],
      errors: ['no_auth', 'invalid_token', 'expired_token', 'csrf_validation_failed'],
    },
    refresh,
  );
  api.post(
    '/api/v1/auth/logout',
    {
      summary: 'Sign out and revoke the tokens of this session',
      accepts: ['session'],
      acceptRefreshCookie: true,
      response: [200, MessageResponse],
    },
    logout,
  );

  async function register(ctx: Context, { full_name, name = full_name, ...input }: z.output<typeof RegistrationBody>) {
    const authenticated = await signIn.register({ ...input, ...(name && { name }) }, ctx.state.meta);
    ctx.body = await userSerializer.tokenResponse(await sessionIssuer.issueTokens(authenticated, ctx.state.meta));
  }

  async function login(ctx: Context, input: z.output<typeof LoginBody>): Promise<void> {
    const setsCookies = cookies.canBeSet(ctx);
    const issued = await logInWithPassword(ctx, input);
    if (setsCookies) await cookies.set(ctx, issued);
    ctx.body = { ...(await userSerializer.tokenResponse(issued)), csrf_token: cookies.csrfTokenFor(issued.session.id) };
  }

  async function loginJson(ctx: Context, input: z.output<typeof LoginBody>): Promise<void> {
    ctx.body = await userSerializer.tokenResponse(await logInWithPassword(ctx, input));
  }

  async function logInWithPassword(
    ctx: Context,
    { username = '', email = username, password, otp }: z.output<typeof LoginBody>,
  ) {
    const authResult = await signIn.withPassword({ email, password, ...(otp && { otp }) }, ctx.state.meta);
    return sessionIssuer.issueTokens(requireCompleteAuthentication(authResult), ctx.state.meta);
  }

  /** The body takes precedence, then the header, then the cookie. */
  async function refresh(ctx: Context, { refreshToken, refresh_token }: z.output<typeof RefreshBody>): Promise<void> {
    const bodyToken = refreshToken ?? refresh_token;
    if (refresh_token && bodyToken !== refresh_token) {
      throw invalidRequest('Two different refresh tokens were sent.', { refresh_token: 'Send one refresh token.' });
    }
    if (bodyToken) ctx.body = await userSerializer.tokenResponse(await tokens.refresh(bodyToken, ctx.state.meta));
    else if (ctx.get('Authorization') || ctx.get('X-API-Key')) await refreshByBearer(ctx);
    else await refreshByCookie(ctx);
  }

  async function refreshByBearer(ctx: Context): Promise<void> {
    const presented = extractCredential(ctx, cookies.names.access);
    const principal = await credentials.resolve(presented?.value ?? '', presented?.presentation);
    if (principal.kind !== 'session') throw unauthorized('invalid_token', 'Only session tokens can be refreshed.');
    const { accessToken, seconds } = await tokens.extendAccess(principal);
    ctx.body = accessTokenResponse(accessToken, seconds);
  }

  async function refreshByCookie(ctx: Context): Promise<void> {
    const token = cookies.refreshToken(ctx);
    if (!token) throw unauthorized('no_auth', 'Send a refresh token.');
    const setsCookies = cookies.canBeSet(ctx);
    const refreshed = await tokens.refresh(token, ctx.state.meta);
    if (!setsCookies) {
      ctx.body = await userSerializer.tokenResponse(refreshed);
      return;
    }
    await cookies.set(ctx, refreshed);
    ctx.body = {
      csrf_token: cookies.csrfTokenFor(refreshed.session.id),
      user: await userSerializer.user(refreshed.account),
    };
  }

  async function logout(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    await sessions.revoke(authenticated.session.id, 'signed_out', ctx.state.meta);
    cookies.clear(ctx);
    ctx.body = { ok: true, message: 'Signed out.' };
  }
}
