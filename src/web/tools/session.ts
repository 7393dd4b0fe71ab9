/** Sign-in for the tools API: with a cookie for browsers, with a token for programs. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { SessionWithAccessToken } from '../../core/sessions/tokens.js';
import { SIGN_IN_ERRORS } from '../endpoints/documented-errors.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { requireCompleteAuthentication } from '../endpoints/require-complete.js';
import type { Context } from '../http/context.js';
import type { ToolsCookie } from './cookie.js';
import { Ok, serializeUser, UserSchema } from './schemas.js';

interface Deps extends Pick<Core, 'signIn' | 'sessionIssuer' | 'sessions'> {
  api: Api;
  cookie: ToolsCookie;
  /** The lifetime of a session. */
  sessionSeconds: number;
}

const LoginBody = z.object({
  email: boundedString(),
  password: boundedString(),
  otp: boundedString().optional().describe('The code of the second factor, if the account has one.'),
});

export function addSession({ api, cookie, sessionSeconds, signIn, sessionIssuer, sessions }: Deps): void {
  api.post(
    '/api/login',
    {
      summary: 'Sign in with a cookie',
      accepts: [],
      body: LoginBody,
      response: [200, Ok.extend({ user: UserSchema })],
      errors: [...SIGN_IN_ERRORS, 'csrf_validation_failed'],
    },
    login,
  );
  api.post(
    '/api/token',
    {
      summary: 'Sign in for a token',
      accepts: [],
      body: LoginBody,
      response: [200, z.object({ token: z.string(), user: UserSchema })],
      errors: SIGN_IN_ERRORS,
    },
    token,
  );
  api.post(
    '/api/logout',
    {
      summary: 'Sign out, revoke the token and clear the cookie',
      accepts: ['session'],
      response: [200, Ok],
    },
    logout,
  );

  async function login(ctx: Context, input: z.output<typeof LoginBody>): Promise<void> {
    cookie.checkCsrf(ctx);
    const issued = await logInWithPassword(ctx, input);
    cookie.set(ctx, issued);
    ctx.body = { ok: true, user: serializeUser(issued.account) };
  }

  async function token(ctx: Context, input: z.output<typeof LoginBody>): Promise<void> {
    const { account, accessToken } = await logInWithPassword(ctx, input);
    ctx.body = { token: accessToken, user: serializeUser(account) };
  }

  async function logInWithPassword(
    ctx: Context,
    { otp, ...input }: z.output<typeof LoginBody>,
  ): Promise<SessionWithAccessToken> {
    const authResult = await signIn.withPassword({ ...input, ...(otp && { otp }) }, ctx.state.meta);
    return sessionIssuer.issueSingleToken(requireCompleteAuthentication(authResult), sessionSeconds, ctx.state.meta);
  }

  async function logout(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    await sessions.revoke(authenticated.session.id, 'signed_out', ctx.state.meta);
    cookie.clear(ctx);
    ctx.body = { ok: true };
  }
}
