/** Creates test users, for sandboxes. Only with TEST_AUTH=true, which production rejects. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import { subjectOf } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { requireCompleteAuthentication } from '../endpoints/require-complete.js';
import type { Context } from '../http/context.js';
import { TokenResponse, type UserSerializer } from './schemas.js';

interface Deps extends Pick<Core, 'signIn' | 'sessionIssuer'> {
  api: Api;
  userSerializer: UserSerializer;
}

const TestUser = z.object({ email: boundedString(), password: boundedString(), name: boundedString().optional() });
const Status = z.object({
  authenticated: z.boolean(),
  principal: z.object({ type: z.enum(['human', 'agent', 'anonymous']), id: z.string().optional() }),
});

export function addTestAuth({ api, userSerializer, signIn, sessionIssuer }: Deps): void {
  api.get(
    '/api/v1/test-auth/auth-status',
    {
      summary: 'Sandbox: get the principal of a credential',
      description: 'A request without a credential is anonymous. An invalid credential is rejected.',
      accepts: ['session', 'oauth', 'external', 'api-key', 'agent', 'workload'],
      scope: null,
      optional: true,
      response: [200, Status],
    },
    status,
  );
  api.post(
    '/api/v1/test-auth/create-test-user',
    { summary: 'Sandbox: create a test user', accepts: [], body: TestUser, response: [201, TokenResponse] },
    createTestUser,
  );
  api.post(
    '/api/v1/test-auth/test-login',
    { summary: 'Sandbox: sign in as a test user', accepts: [], body: TestUser, response: [200, TokenResponse] },
    testLogin,
  );

  function status(ctx: Context): void {
    const { principal } = ctx.state;
    ctx.body = {
      authenticated: principal !== undefined,
      principal: principal ? subjectOf(principal) : { type: 'anonymous' },
    };
  }

  async function createTestUser(ctx: Context, { name, ...input }: z.output<typeof TestUser>): Promise<void> {
    const authenticated = await signIn.register({ ...input, ...(name && { name }) }, ctx.state.meta);
    ctx.body = await userSerializer.tokenResponse(await sessionIssuer.issueTokens(authenticated, ctx.state.meta));
  }

  async function testLogin(ctx: Context, { email, password }: z.output<typeof TestUser>): Promise<void> {
    const authResult = await signIn.withPassword({ email, password }, ctx.state.meta);
    ctx.body = await userSerializer.tokenResponse(
      await sessionIssuer.issueTokens(requireCompleteAuthentication(authResult), ctx.state.meta),
    );
  }
}
