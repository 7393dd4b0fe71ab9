/** Rules that look at who asks, and say allow, deny, or that a person has to approve. Of several the strictest counts. */
import type { AuthContext, RequestLike } from './context.js';

export type Effect = 'allow' | 'approve' | 'deny';

export interface PolicyContext {
  auth: AuthContext;
  request?: RequestLike;
}

export interface PolicyInput<Context extends PolicyContext = PolicyContext> {
  ctx: Context;
  input?: unknown;
}

export interface PolicyVerdict {
  effect: Effect;
  reason?: string;
}

export interface Policy<Context extends PolicyContext = PolicyContext> {
  key: string;
  title: string;
  /** What it is when `check` says nothing. */
  effect: Effect;
  check(asked: PolicyInput<Context>): Promise<PolicyVerdict | undefined> | PolicyVerdict | undefined;
}

export type PolicyDecision = { effect: 'allow' } | { effect: 'approve' | 'deny'; reason: string; policy: string };

const STRICTNESS: Record<Effect, number> = { allow: 0, approve: 1, deny: 2 };

/** The policy, unless it is none: then a TypeError. */
export function definePolicy<Context extends PolicyContext = PolicyContext>(policy: Policy<Context>): Policy<Context> {
  if (!policy.key) throw new TypeError('A policy needs a key');
  if (!(policy.effect in STRICTNESS)) throw new TypeError(`${policy.key}: there is no effect ${String(policy.effect)}`);
  return policy;
}

/**
 * Asks policies in order, until one denies. Allowed is what all of them allow, and what none was asked about. Rejects when a policy does,
 * and denies when it answers what is no verdict: a rule that is broken lets nobody in.
 */
export async function enforcePolicies<Context extends PolicyContext>(
  policies: readonly Policy<Context>[],
  asked: PolicyInput<Context>,
): Promise<PolicyDecision> {
  let strictest: PolicyDecision = { effect: 'allow' };
  for (const { key, title, effect: otherwise, check } of policies) {
    const { effect, reason = title } = (await check(asked)) ?? { effect: otherwise };
    const known: Effect = effect in STRICTNESS ? effect : 'deny';
    if (known === 'allow' || STRICTNESS[known] <= STRICTNESS[strictest.effect]) continue;
    strictest = { effect: known, reason, policy: key };
    if (known === 'deny') break;
  }
  return strictest;
}
