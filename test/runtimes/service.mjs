// A service that uses every export of the kit, with Web standards only. It is the same on every
// runtime.
import {
  APPROVAL_HEADER,
  apiKeyLookup,
  checkPermission,
  createAdmission,
  createApprovalClient,
  createAuthMiddleware,
  createDpopNonces,
  createMemoryRateLimitStore,
  createMemoryReplayStore,
  createOAuthHandlers,
  createRemoteVerifier,
  createWorkloadVerifier,
  csrfProtect,
  defineAPI,
  defineConfig,
  definePolicy,
  defineRateLimit,
  dpopRequired,
  enforcePolicies,
  env,
  errorResponse,
  generateApiKey,
  githubProvider,
  googleProvider,
  hasScope,
  IssuerUnavailable,
  parseDuration,
  parseSpiffeId,
  serveAPI,
  signSession,
  verifyApiKey,
  verifyDpop,
  verifySession,
} from 'signet/kit';
import { protectFetch } from 'signet/kit/hono';
import { protect as protectPages } from 'signet/kit/next';

/**
 * Creates the service, a function from Request to Response. Before the first request it must not
 * fetch, use random values or start timers: edge runtimes do not allow it.
 */
export function createService(settings) {
  const { issuer, audience, secret } = settings;
  let aheadMs = 0;
  const now = () => Date.now() + aheadMs;
  const atOnce = { cacheFor: '0s', rejectionsFor: '0s' };

  const verifier = createRemoteVerifier({ issuer, audience, now });
  const ofKeys = createRemoteVerifier({ issuer, audience, acceptKeys: true, validation: atOnce });
  const ofSlowOne = createRemoteVerifier({ issuer: settings.slowIssuer, audience, acceptKeys: true, now });
  const ofUnreachable = createRemoteVerifier({ issuer: settings.closedIssuer, audience });

  const agents = new Map(settings.agents.map((agent) => [agent.apiKeyPrefix, agent]));
  const config = defineConfig({
    app: { name: 'Tickets' },
    auth: {
      session: { secret, maxAge: '1h' },
      workloadIdentity: {
        trustDomain: settings.trustDomain,
        fromTrustedPeer: true,
        permissionsOf: () => ['ticket:read'],
        bundles: { [settings.trustDomain]: settings.bundle },
      },
    },
    agent: {
      rateLimit: { default: { requests: 3, window: '1h' }, perAuthType: { human: { requests: 2, window: '1h' } } },
    },
  });
  const findAgentByKeyPrefix = async (prefix) => agents.get(prefix);
  const resolve = createAuthMiddleware(config.auth, { findAgentByKeyPrefix });
  const resolveBound = createAuthMiddleware({ session: { secret, dpop: true } }, { findAgentByKeyPrefix });
  const workloads = createWorkloadVerifier(config.auth.workloadIdentity);
  const proofs = { replays: createMemoryReplayStore({ maxEntries: 6 }), nonces: createDpopNonces({ secret }) };

  const policies = [
    definePolicy({
      key: 'agents',
      title: 'Only agents write',
      effect: 'deny',
      check: ({ ctx }) => (ctx.auth.type === 'agent' ? { effect: 'allow' } : undefined),
    }),
    definePolicy({
      key: 'amount',
      title: 'A large amount',
      effect: 'approve',
      check: ({ input }) => (input?.amount > 100 ? undefined : { effect: 'allow' }),
    }),
  ];
  const orders = serveAPI(
    defineAPI({
      capability: 'write',
      resource: 'order',
      policy: ['agents', 'amount'],
      input: { parse: parseOrder },
      handler: ({ input }) => ({ ordered: input.amount }),
    }),
    {
      resolve,
      policies,
      approvals: { by: createApprovalClient(settings.approvals), person: () => settings.approver },
    },
  );
  const limited = serveAPI(defineAPI({ capability: 'read', resource: 'ticket', policy: [], handler: () => 'here' }), {
    resolve,
    rateLimit: defineRateLimit(config.agent.rateLimit, { store: createMemoryRateLimitStore() }),
    from: (request) => request.headers.get('x-caller') ?? '',
  });

  const client = { clientId: 'client-1', clientSecret: 'client-secret' };
  const google = googleProvider(client);
  const { provider } = settings;
  const oauth = createOAuthHandlers({
    providers: [
      {
        ...google,
        tokenUrl: `${provider}/token`,
        openId: { issuers: [provider], jwksUri: `${provider}/jwks` },
      },
      githubProvider(client),
    ],
    sessionSecret: secret,
    redirectTo: '/own',
  });

  const tell = (_request, auth) => Response.json(auth);
  const pages = protectPages(verifier, { signIn: '/sign-in' });
  const routes = {
    '/tickets': protectFetch(verifier.resolve, { scope: 'ticket:read' }, tell),
    '/tickets/all': protectFetch(verifier.resolve, { scope: ['ticket:read', 'ticket:admin'] }, tell),
    '/keys': protectFetch(ofKeys.resolve, {}, tell),
    '/slow': protectFetch(ofSlowOne.resolve, {}, tell),
    '/slow/hasty': hasty,
    '/unavailable': protectFetch(ofUnreachable.resolve, {}, tell),
    '/own': protectFetch(resolve, { csrf: {} }, tell),
    '/bound': protectFetch(resolveBound, { permission: { resource: 'ticket', action: 'read' } }, tell),
    '/pages': async (request) => (await pages(request)) ?? Response.json('let through'),
    '/orders': orders,
    '/limited': limited,
    '/sign-in': signIn,
    '/session': session,
    '/proof': prove,
    '/workload': workload,
    '/small': small,
    '/ahead': ahead,
  };

  return async function fetch(request) {
    const { pathname } = new URL(request.url);
    try {
      if (pathname.startsWith('/auth/login/')) return await oauth.login(request);
      if (pathname === '/auth/callback') return await oauth.callback(request);
      return (await routes[pathname]?.(request)) ?? new Response(null, { status: 404 });
    } catch (error) {
      return Response.json({ thrown: String(error), stack: error.stack }, { status: 500 });
    }
  };

  function signIn() {
    const token = signSession({ userId: 'user_1', role: 'admin' }, secret, '1h');
    return Response.json({ token }, { headers: { 'Set-Cookie': `capstan_session=${token}; HttpOnly; Path=/` } });
  }

  /** Responds before the caller is authenticated. */
  function hasty(request) {
    ofSlowOne.resolve(request).catch(() => {});
    return Response.json('accepted without waiting');
  }

  async function session(request) {
    return Response.json(verifySession(await request.text(), secret));
  }

  /** Verifies a proof without a credential, with a replay store for six proofs. */
  async function prove({ method, url, headers }) {
    const verdict = await verifyDpop(headers.get('dpop') ?? '', { method, url }, proofs);
    return verdict.ok ? Response.json(verdict) : errorResponse(dpopRequired(verdict, proofs.nonces));
  }

  async function workload(request) {
    const known = await workloads.verifyToken(await request.text(), 'tickets');
    return Response.json(known && parseSpiffeId(known.id));
  }

  function ahead({ url }) {
    aheadMs = Number(new URL(url).searchParams.get('seconds')) * 1000;
    return Response.json(aheadMs);
  }

  /** Calls the functions that need no request. */
  async function small(request) {
    const { key, hash, prefix } = generateApiKey({ prefix: 'tk_' });
    const failure = await ofUnreachable
      .resolve(new Request(request.url, { headers: { 'x-api-key': 'abc' } }))
      .catch((e) => e);
    const authResult = await createAdmission(resolve, { optional: true })(new Request(request.url));
    const foreign = new Request(request.url, {
      method: 'POST',
      headers: { cookie: 'a=b', origin: 'https://evil.example' },
    });
    return Response.json({
      key: [
        key.length,
        apiKeyLookup(key, 'tk_') === prefix,
        await verifyApiKey(key, hash),
        await verifyApiKey(`${key}0`, hash),
      ],
      duration: [parseDuration('2w'), String(parseDuration('soon'))],
      permission: [
        checkPermission({ resource: 'ticket', action: 'read' }, ['ticket:*']),
        hasScope('read:ticket', 'write:*'),
      ],
      serviceUnavailable: [failure instanceof IssuerUnavailable, failure.authError?.status],
      authResult,
      csrf: csrfProtect()(foreign)?.error,
      decision: await enforcePolicies(policies, { ctx: { auth: { type: 'human' } } }),
      unset: env('SURELY_NOT_SET'),
      approval: APPROVAL_HEADER,
    });
  }
}

function parseOrder(value) {
  if (typeof value?.amount !== 'number') throw new Error('amount must be a number');
  return value;
}
