/** Proxy login: verifies passwords with an upstream provider, without a redirect. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import { HOP_HEADER } from '../../core/federation/proxy-login.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { requireCompleteAuthentication } from '../endpoints/require-complete.js';
import type { Context } from '../http/context.js';
import { TokenResponse, type UserSerializer } from './schemas.js';

interface Deps extends Pick<Core, 'sessionIssuer' | 'proxyLogin'> {
  api: Api;
  userSerializer: UserSerializer;
}

const ProxyLogin = z.object({ email: boundedString(), password: boundedString(), otp: boundedString().optional() });

const DESCRIPTION = `
The upstream provider verifies the password. The first sign-in creates an account. \`otp\` is passed on, and is also the code of a
second factor of the account. Without an upstream provider, this is the same as \`login-json\`.`.trim();

export function addProxyLogin({ api, userSerializer, sessionIssuer, proxyLogin }: Deps): void {
  for (const name of ['ainative-login', 'proxy-login']) {
    api.post(
      `/api/v1/auth/${name}`,
      {
        summary: 'Sign in with a password of the upstream provider',
        description: DESCRIPTION,
        accepts: [],
        body: ProxyLogin,
        response: [200, TokenResponse],
        errors: [
          'invalid_credentials',
          'mfa_required',
          'invalid_otp',
          'account_suspended',
          'link_required',
          'auth_rate_limited',
          'upstream_invalid_response',
          'upstream_unavailable',
        ],
      },
      signIn,
    );
  }

  async function signIn(ctx: Context, { email, password, otp }: z.output<typeof ProxyLogin>): Promise<void> {
    const hops = ctx.get(HOP_HEADER).split(/[\s,]+/);
    const credentials = { email, password, ...(otp && { otp }) };
    const authResult = await proxyLogin.withPassword(credentials, hops.filter(Boolean), ctx.state.meta);
    ctx.body = await userSerializer.tokenResponse(
      await sessionIssuer.issueTokens(requireCompleteAuthentication(authResult), ctx.state.meta),
    );
  }
}
