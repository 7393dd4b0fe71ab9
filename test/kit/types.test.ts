// The types of the public functions. The compiler checks them (`npm run typecheck`): a wrong
// expectation is a compile error, and `@ts-expect-error` fails where an error is missing.
import type { IncomingMessage } from 'node:http';
import type { Context as KoaContext } from 'koa';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { authOf, type protect as protectExpress } from '../../src/kit/adapters/express.js';
import { protectFetch, type protect as protectHono } from '../../src/kit/adapters/hono.js';
import type { protect as protectKoa } from '../../src/kit/adapters/koa.js';
import { protect as protectNext } from '../../src/kit/adapters/next.js';
import {
  type Admission,
  type AgentContext,
  type AnonymousContext,
  type ApprovalState,
  type AuthContext,
  type AuthError,
  type AuthResult,
  apiKeyLookup,
  checkPermission,
  createAdmission,
  type createApprovalClient,
  createAuthMiddleware,
  createDpopNonces,
  createMemoryRateLimitStore,
  createMemoryReplayStore,
  type createOAuthHandlers,
  createRemoteVerifier,
  type createWorkloadVerifier,
  csrfProtect,
  type DpopResult,
  defineAPI,
  defineConfig,
  definePolicy,
  type defineRateLimit,
  dpopRequired,
  enforcePolicies,
  env,
  errorResponse,
  type GeneratedApiKey,
  generateApiKey,
  type HumanContext,
  hasScope,
  type IssuerUnavailable,
  type OAuthProvider,
  type PendingApproval,
  type PolicyDecision,
  parseDuration,
  parseSpiffeId,
  type RateLimitResult,
  type RateLimitStore,
  type RemoteVerifier,
  type ReplayStore,
  type RequestLike,
  type ResolveAuth,
  type SessionPayload,
  type SpiffeId,
  serveAPI,
  signSession,
  verifyApiKey,
  verifyDpop,
  verifySession,
} from '../../src/kit/index.js';
import { parseSpiffeBundle, type SpiffeBundle, type SvidVerdict, verifyX509Svid } from '../../src/kit/spiffe.js';

describe('types of signet/kit', () => {
  it('distinguish the callers by `type`', () => {
    expectTypeOf<AuthContext>().toEqualTypeOf<HumanContext | AgentContext | AnonymousContext>();
    const describeCaller = (auth: AuthContext) => {
      if (auth.type === 'human') expectTypeOf(auth.userId).toEqualTypeOf<string>();
      if (auth.type === 'agent') expectTypeOf(auth.permissions).toEqualTypeOf<string[]>();
      if (auth.type === 'anonymous') expectTypeOf(auth.error).toEqualTypeOf<AuthError | undefined>();
      if (auth.isAuthenticated) expectTypeOf(auth).toEqualTypeOf<HumanContext | AgentContext>();
      // @ts-expect-error an anonymous caller has no id
      return auth.userId;
    };
    expectTypeOf(describeCaller).parameter(0).toEqualTypeOf<AuthContext>();
    expectTypeOf<HumanContext['via']>().toEqualTypeOf<
      'session' | 'api-key' | 'access-token' | 'login' | 'introspected' | 'workload'
    >();
  });

  it('of the verifiers and of access rules fit together', () => {
    expectTypeOf(createRemoteVerifier).returns.toEqualTypeOf<RemoteVerifier>();
    expectTypeOf<RemoteVerifier['resolve']>().toEqualTypeOf<ResolveAuth>();
    expectTypeOf<RemoteVerifier['verify']>().toEqualTypeOf<(credential: string) => Promise<AuthContext>>();
    expectTypeOf(createAuthMiddleware).returns.toEqualTypeOf<ResolveAuth>();
    expectTypeOf(createAdmission).parameter(0).toEqualTypeOf<ResolveAuth>();
    expectTypeOf(createAdmission).returns.toEqualTypeOf<(request: RequestLike) => Promise<AuthResult>>();
    expectTypeOf<AuthResult>().toEqualTypeOf<{ auth: AuthContext } | { error: AuthError }>();
    expectTypeOf<Request>().toExtend<RequestLike>();
    // @ts-expect-error the audience is required
    const withoutAudience: Parameters<typeof createRemoteVerifier>[0] = { issuer: 'https://id.example.com' };
    // @ts-expect-error a level is read, write or admin
    const unknownLevel: Parameters<typeof createAdmission>[1] = { level: 'owner' };
    expectTypeOf([withoutAudience, unknownLevel]).toBeArray();
  });

  it('of errors keep their deprecated aliases', () => {
    expectTypeOf<Admission>().toEqualTypeOf<AuthResult>();
    expectTypeOf<IssuerUnavailable>().toExtend<Error>();
    expectTypeOf<IssuerUnavailable['authError']>().toEqualTypeOf<AuthError>();
    expectTypeOf(errorResponse).toEqualTypeOf<(error: AuthError) => Response>();
  });

  it('of sessions and keys', () => {
    expectTypeOf(signSession).returns.toBeString();
    expectTypeOf(signSession).parameter(0).toEqualTypeOf<Omit<SessionPayload, 'iat' | 'exp'>>();
    expectTypeOf(verifySession).toEqualTypeOf<(token: string, secret: string) => SessionPayload | null>();
    expectTypeOf(generateApiKey).returns.toEqualTypeOf<GeneratedApiKey>();
    expectTypeOf(apiKeyLookup).returns.toEqualTypeOf<string | null>();
    expectTypeOf(verifyApiKey).toEqualTypeOf<(key: string, hash: string) => Promise<boolean>>();
    expectTypeOf(parseDuration).toEqualTypeOf<(text: string) => number>();
    expectTypeOf(env).toEqualTypeOf<(name: string) => string>();
  });

  it('of an API carry the input from the schema to the handler', () => {
    const api = defineAPI({
      capability: 'write',
      resource: 'order',
      input: z.object({ amount: z.number() }),
      handler: ({ ctx, input }) => {
        expectTypeOf(input).toEqualTypeOf<{ amount: number }>();
        expectTypeOf(ctx.auth).toEqualTypeOf<AuthContext>();
        return { ordered: input.amount };
      },
    });
    expectTypeOf(api.handler).returns.toExtend<{ ordered: number } | Promise<{ ordered: number }>>();
    expectTypeOf(serveAPI).returns.toEqualTypeOf<(request: Request) => Promise<Response>>();
    defineAPI({
      capability: 'read',
      resource: 'order',
      handler: ({ input }) => expectTypeOf(input).toBeUnknown(),
    });
  });

  it('of a configuration keep what is in it', () => {
    const config = defineConfig({ app: { name: 'Tickets' }, ours: 7, auth: { session: { secret: 's' } } });
    expectTypeOf(config.ours).toEqualTypeOf<number>();
    expectTypeOf(config.auth.session.secret).toEqualTypeOf<string>();
  });

  it('of permissions and policies', () => {
    expectTypeOf(checkPermission).returns.toBeBoolean();
    expectTypeOf(hasScope).parameter(1).toEqualTypeOf<readonly string[] | string>();
    expectTypeOf(enforcePolicies).returns.resolves.toEqualTypeOf<PolicyDecision>();
    // @ts-expect-error an effect is allow, approve or deny
    const policy = () => definePolicy({ key: 'k', title: 't', effect: 'maybe', check: () => undefined });
    expectTypeOf(policy).toBeFunction();
    expectTypeOf(csrfProtect).returns.toEqualTypeOf<(request: RequestLike) => AuthError | undefined>();
  });

  it('of rate limits, DPoP and approvals accept stores of your own', () => {
    expectTypeOf(createMemoryRateLimitStore).returns.toEqualTypeOf<RateLimitStore>();
    expectTypeOf(createMemoryReplayStore).returns.toEqualTypeOf<ReplayStore>();
    expectTypeOf<ReturnType<ReplayStore['firstUse']>>().toEqualTypeOf<boolean | Promise<boolean>>();
    expectTypeOf<ReturnType<typeof defineRateLimit>['check']>().returns.resolves.toEqualTypeOf<RateLimitResult>();
    expectTypeOf(verifyDpop).returns.resolves.toEqualTypeOf<DpopResult>();
    expectTypeOf(dpopRequired).parameter(0).toEqualTypeOf<Extract<DpopResult, { ok: false }>>();
    expectTypeOf(createDpopNonces).returns.toHaveProperty('accepts');
    const { begin, check } = {} as ReturnType<typeof createApprovalClient>;
    expectTypeOf(begin).returns.resolves.toEqualTypeOf<PendingApproval | undefined>();
    expectTypeOf(check).returns.resolves.toEqualTypeOf<ApprovalState>();
  });

  it('of workloads and of sign-in', () => {
    expectTypeOf(parseSpiffeId).toEqualTypeOf<(text: string) => SpiffeId | undefined>();
    expectTypeOf<ReturnType<typeof createWorkloadVerifier>['fromRequest']>().returns.toEqualTypeOf<SpiffeId | null>();
    expectTypeOf(parseSpiffeBundle).returns.toEqualTypeOf<SpiffeBundle>();
    expectTypeOf(verifyX509Svid).returns.toEqualTypeOf<SvidVerdict>();
    expectTypeOf<ReturnType<typeof createOAuthHandlers>>().toEqualTypeOf<{
      login(request: Request): Promise<Response>;
      callback(request: Request): Promise<Response>;
    }>();
    expectTypeOf<OAuthProvider['clientSecret']>().toBeString();
  });

  it('of the adapters accept the requests of their frameworks', () => {
    expectTypeOf<IncomingMessage & { url: string; method: string }>().toExtend<Parameters<typeof authOf>[0]>();
    expectTypeOf(authOf).returns.toEqualTypeOf<AuthContext>();
    expectTypeOf<ReturnType<typeof protectExpress>>().parameter(2).toEqualTypeOf<(error?: unknown) => void>();
    expectTypeOf<KoaContext>().toExtend<Parameters<ReturnType<typeof protectKoa>>[0]>();
    expectTypeOf<ReturnType<typeof protectHono>>().returns.resolves.toEqualTypeOf<Response | undefined>();
    expectTypeOf(protectFetch).returns.toEqualTypeOf<(request: Request) => Promise<Response>>();
    expectTypeOf(protectNext).parameter(0).toEqualTypeOf<RemoteVerifier>();
  });
});
