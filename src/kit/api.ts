/**
 * One operation of a service's API: what it needs, who may, what it does. Served as a function from
 * Web Request to Response.
 */
import type { Approvals } from './approvals.js';
import {
  type AuthError,
  IssuerUnavailable,
  insufficientScope,
  refusal,
  refusalResponse,
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
   * `read`, `write`, …: an agent needs the permission `resource:capability`. People are judged by
   * policies.
   */
  capability: string;
  resource: string;
  /** Keys of policies. None named: whoever is authenticated; an empty list: everybody. */
  policy?: string | readonly string[];
  /** A schema of any library that has `parse`. Without one the handler gets what was sent. */
  input?: { parse(value: unknown): Input };
  handler(call: { ctx: ApiContext; input: Input }): Promise<Output> | Output;
}

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
   * What strangers are counted by, their address for example. Without it all strangers are counted
   * as one.
   */
  from?: (request: Request) => string;
  csrf?: CsrfOptions;
  /** How `approve` is asked for, and whom. Without it such a request is refused. */
  approvals?: { by: Approvals; person: (auth: AuthContext) => string | undefined | Promise<string | undefined> };
}

/** The header by which a caller comes back with an approval that was pending. */
export const APPROVAL_HEADER = 'Approval-Id';
const MAX_BODY_BYTES = 1_048_576;

/**
 * Answers requests for one API: 401, 403, 429 and 503 as the kit words them, 202 with `approval_id`
 * where a person has to approve (the caller repeats the very same request with it in
 * `Approval-Id`), else what the handler returns, as JSON. What the handler throws is thrown on.
 */
export function serveAPI<Input, Output>(api: ApiDefinition<Input, Output>, options: ServeOptions) {
  const { resolve, rateLimit, approvals } = options;
  const policies = policiesOf(api, options.policies ?? []);
  const checkOrigin = csrfProtect(options.csrf);

  return async function answerApi(request: Request): Promise<Response> {
    try {
      const auth = await resolve(request);
      const limit = await rateLimit?.check(auth, options.from?.(request));
      const no = limit?.refusal ?? whyNot(auth, request);
      if (no) return refusalResponse(no);
      const answer = await answerAllowed(auth, request);
      for (const [name, value] of Object.entries(limit?.headers ?? {})) answer.headers.set(name, value);
      return answer;
    } catch (error) {
      if (error instanceof IssuerUnavailable) return refusalResponse(error.refusal);
      throw error;
    }
  };

  /** What needs no look at the body. */
  function whyNot(auth: AuthContext, request: Request): AuthError | undefined {
    if (!auth.isAuthenticated) {
      if (auth.refusal) return auth.refusal;
      return api.policy === undefined ? unauthorized('no_auth', 'Send a credential.') : undefined;
    }
    const { capability: action, resource } = api;
    if (auth.type === 'agent' && !agentMay(auth, { resource, action })) {
      return insufficientScope([`${resource}:${action}`]);
    }
    return auth.byCookie ? checkOrigin(request) : undefined;
  }

  async function answerAllowed(auth: AuthContext, request: Request): Promise<Response> {
    const body = await readText(request.body, MAX_BODY_BYTES);
    if (body === undefined) return refusalResponse(refusal(413, 'payload_too_large', 'The body is too large.'));
    const read = parse(body);
    if (!read.ok) return refusalResponse(refusal(400, 'invalid_request', read.why));
    const ctx = { auth, request };
    const decision = await enforcePolicies(policies, { ctx, input: read.input });
    const stopped = decision.effect === 'allow' ? undefined : await settle(decision, ctx, body);
    return stopped ?? Response.json((await api.handler({ ctx, input: read.input })) ?? null);
  }

  function parse(body: string): { ok: true; input: Input } | { ok: false; why: string } {
    let value: unknown;
    try {
      value = body ? JSON.parse(body) : undefined;
    } catch {
      return { ok: false, why: 'The body is not JSON.' };
    }
    try {
      return { ok: true, input: api.input ? api.input.parse(value) : (value as Input) };
    } catch (error) {
      return { ok: false, why: error instanceof Error ? error.message : 'The body is not what is expected.' };
    }
  }

  /** An answer, or undefined when a person said yes. */
  async function settle(
    decision: Exclude<PolicyDecision, { effect: 'allow' }>,
    { auth, request }: ApiContext,
    body: string,
  ): Promise<Response | undefined> {
    const also = decision.effect === 'approve' ? (decision.also ?? []) : [];
    const { effect, reason: message } = decision;
    const reason = [message, ...also.map((one) => one.reason)].join('; ');
    const policy = [decision, ...also].map((one) => one.policy).join(' ');
    if (!auth.isAuthenticated) return refusalResponse(unauthorized('no_auth', reason));
    if (effect === 'deny') return refusalResponse(refusal(403, 'policy_denied', reason));
    const person = await approvals?.person(auth);
    if (!approvals || !person) return refusalResponse(refusal(403, 'approval_required', reason));
    const { pathname, search } = new URL(request.url);
    const action = JSON.stringify([whoIs(auth), policy, request.method, pathname + search, sha256Base64url(body)]);
    const id = request.headers.get(APPROVAL_HEADER);
    const state = id ? await approvals.by.check(id, action) : undefined;
    if (state === 'approved') return undefined;
    if (state === 'pending') return Response.json({ status: 'approval_pending', approval_id: id }, { status: 202 });
    if (state) return refusalResponse(refusal(403, `approval_${state}`, 'The approval was not given.'));
    const further = Object.fromEntries(also.map((one, n) => [`reason ${n + 2}`, one.reason]));
    const details = { for: whoIs(auth), request: `${request.method} ${pathname}${search}`, ...further };
    const pending = await approvals.by.begin({ person, message, details, action });
    if (!pending) return refusalResponse(refusal(403, 'approval_required', 'There is nobody who could approve this.'));
    const { id: approvalId, expiresInSeconds, intervalSeconds } = pending;
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

const whoIs = (auth: Authenticated) => (auth.type === 'human' ? `human ${auth.userId}` : `agent ${auth.agentId}`);

/**
 * Those that an API names. A name that is none stops the start: a rule that is not there protects
 * nothing.
 */
function policiesOf({ policy = [] }: Pick<ApiDefinition<never, never>, 'policy'>, known: readonly Policy[]): Policy[] {
  return [policy].flat().map((key) => {
    const found = known.find((one) => one.key === key);
    if (!found) throw new TypeError(`There is no policy ${key}`);
    return found;
  });
}
