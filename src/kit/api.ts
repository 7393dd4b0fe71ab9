/**
 * Defines one operation of a service's API: the permission it requires, its policies, and its
 * handler. Serves it as a function from Web `Request` to `Response`.
 */
import type { Approvals } from './approvals.js';
import {
  type AuthError,
  authError,
  errorResponse,
  IssuerUnavailable,
  insufficientScope,
  unauthorized,
} from './auth-error.js';
import { readText, sha256Base64url } from './bytes.js';
import type { AuthContext, Authenticated, ResolveAuth } from './context.js';
import { type CsrfOptions, csrfProtect } from './csrf.js';
import { agentMay } from './permissions.js';
import { enforcePolicies, type Policy, type PolicyDecision } from './policies.js';
import type { RateLimiter } from './rate-limit.js';

export interface ApiContext {
  auth: AuthContext;
  request: Request;
}

export interface ApiDefinition<Input, Output> {
  /**
   * `read`, `write`, …: an agent needs the permission `resource:capability`. Users are subject to
   * policies only.
   */
  capability: string;
  resource: string;
  /** Keys of policies. Default: any authenticated caller. An empty list: everyone. */
  policy?: string | readonly string[];
  /** A schema of any library that has `parse`. Without it, the handler gets the JSON unchecked. */
  input?: { parse(value: unknown): Input };
  handler(call: { ctx: ApiContext; input: Input }): Promise<Output> | Output;
}

/** Returns the definition. Throws a TypeError if it has no capability or no resource. */
export function defineAPI<Input = unknown, Output = unknown>(
  api: ApiDefinition<Input, Output>,
): ApiDefinition<Input, Output> {
  if (!api.capability || !api.resource) throw new TypeError('An API needs a capability and a resource');
  return api;
}

export interface ServeOptions {
  resolve: ResolveAuth;
  policies?: readonly Policy[];
  rateLimit?: Pick<RateLimiter, 'check'>;
  /**
   * Returns the rate-limit key of an anonymous request, such as its IP address. Without it, all
   * anonymous requests share one limit.
   */
  from?: (request: Request) => string;
  csrf?: CsrfOptions;
  /**
   * `by` asks for approval, and `person` returns the user to ask. Without them, requests that need
   * approval are rejected.
   */
  approvals?: { by: Approvals; person: (auth: AuthContext) => string | undefined | Promise<string | undefined> };
}

/** The request header with the `approval_id` of an earlier 202 response. */
export const APPROVAL_HEADER = 'Approval-Id';
const MAX_BODY_BYTES = 1_048_576;

/**
 * Returns a function that serves an API. It responds with the handler's result as JSON, or with an
 * error (401, 403, 413, 429, 503). If a user has to approve the request, it responds with 202 and
 * `approval_id`. The caller then repeats the same request with that id in `Approval-Id`. Errors of
 * the handler are rethrown. Throws a TypeError if the API names an unknown policy.
 */
export function serveAPI<Input, Output>(api: ApiDefinition<Input, Output>, options: ServeOptions) {
  const { resolve, rateLimit, approvals } = options;
  const policies = findPolicies(api, options.policies ?? []);
  const checkOrigin = csrfProtect(options.csrf);

  return async function respond(request: Request): Promise<Response> {
    try {
      const auth = await resolve(request);
      const rateLimitResult = await rateLimit?.check(auth, options.from?.(request));
      const error = rateLimitResult?.error ?? checkAccess(auth, request);
      if (error) return errorResponse(error);
      const response = await checkPoliciesAndHandle(auth, request);
      for (const [name, value] of Object.entries(rateLimitResult?.headers ?? {})) response.headers.set(name, value);
      return response;
    } catch (error) {
      if (error instanceof IssuerUnavailable) return errorResponse(error.authError);
      throw error;
    }
  };

  /** Runs the checks that do not need the body. */
  function checkAccess(auth: AuthContext, request: Request): AuthError | undefined {
    if (!auth.isAuthenticated) {
      if (auth.error) return auth.error;
      return api.policy === undefined ? unauthorized('no_auth', 'Send a credential.') : undefined;
    }
    const { capability: action, resource } = api;
    if (auth.type === 'agent' && !agentMay(auth, { resource, action })) {
      return insufficientScope([`${resource}:${action}`]);
    }
    return auth.byCookie ? checkOrigin(request) : undefined;
  }

  async function checkPoliciesAndHandle(auth: AuthContext, request: Request): Promise<Response> {
    const body = await readText(request.body, MAX_BODY_BYTES);
    if (body === undefined) return errorResponse(authError(413, 'payload_too_large', 'The body is too large.'));
    const parsed = parse(body);
    if (!parsed.ok) return errorResponse(authError(400, 'invalid_request', parsed.error));
    const { input } = parsed;
    const ctx = { auth, request };
    const decision = await enforcePolicies(policies, { ctx, input });
    const blocked = decision.effect === 'allow' ? undefined : await denyOrRequestApproval(decision, ctx, body);
    return blocked ?? Response.json((await api.handler({ ctx, input })) ?? null);
  }

  function parse(body: string): { ok: true; input: Input } | { ok: false; error: string } {
    let value: unknown;
    try {
      value = body ? JSON.parse(body) : undefined;
    } catch {
      return { ok: false, error: 'The body is not valid JSON.' };
    }
    try {
      return { ok: true, input: api.input ? api.input.parse(value) : (value as Input) };
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error.message : 'The body has the wrong format.' };
    }
  }

  /** Returns a response for the caller, or undefined if the request was approved. */
  async function denyOrRequestApproval(
    decision: Exclude<PolicyDecision, { effect: 'allow' }>,
    { auth, request }: ApiContext,
    body: string,
  ): Promise<Response | undefined> {
    const also = decision.effect === 'approve' ? (decision.also ?? []) : [];
    const { effect, reason: message } = decision;
    const reason = [message, ...also.map((objection) => objection.reason)].join('; ');
    if (!auth.isAuthenticated) return errorResponse(unauthorized('no_auth', reason));
    if (effect === 'deny') return errorResponse(authError(403, 'policy_denied', reason));
    const person = await approvals?.person(auth);
    if (!approvals || !person) return errorResponse(authError(403, 'approval_required', reason));
    const { pathname, search } = new URL(request.url);
    const policy = [decision, ...also].map((objection) => objection.policy).join(' ');
    const action = JSON.stringify([callerOf(auth), policy, request.method, pathname + search, sha256Base64url(body)]);
    const id = request.headers.get(APPROVAL_HEADER);
    const state = id ? await approvals.by.check(id, action) : undefined;
    if (state === 'approved') return undefined;
    if (state === 'pending') return Response.json({ status: 'approval_pending', approval_id: id }, { status: 202 });
    if (state) return errorResponse(authError(403, `approval_${state}`, 'The request was not approved.'));
    const reasons = Object.fromEntries(also.map((objection, n) => [`reason ${n + 2}`, objection.reason]));
    const details = { for: callerOf(auth), request: `${request.method} ${pathname}${search}`, ...reasons };
    const pendingApproval = await approvals.by.begin({ person, message, details, action });
    if (!pendingApproval) {
      return errorResponse(authError(403, 'approval_required', 'There is no user who can approve this request.'));
    }
    const { id: approvalId, expiresInSeconds, intervalSeconds } = pendingApproval;
    return Response.json(
      {
        status: 'approval_required',
        approval_id: approvalId,
        reason,
        expires_in: expiresInSeconds,
        interval: intervalSeconds,
      },
      { status: 202 },
    );
  }
}

const callerOf = (auth: Authenticated) => (auth.type === 'human' ? `human ${auth.userId}` : `agent ${auth.agentId}`);

/** Finds the policies that an API names. Throws a TypeError if one is missing. */
function findPolicies(
  { policy = [] }: Pick<ApiDefinition<never, never>, 'policy'>,
  policies: readonly Policy[],
): Policy[] {
  return [policy].flat().map((key) => {
    const match = policies.find((candidate) => candidate.key === key);
    if (!match) throw new TypeError(`There is no policy ${key}`);
    return match;
  });
}
