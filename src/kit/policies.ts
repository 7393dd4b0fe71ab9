/**
 * Rules that look at who asks, and say allow, deny, or that a person has to approve. Of several the
 * strictest counts.
 */
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

interface Objection {
  reason: string;
  policy: string;
}

export type PolicyDecision =
  | { effect: 'allow' }
  | ({ effect: 'deny' } & Objection)
  /** A person who approves, approves of what `also` says as well. */
  | ({ effect: 'approve'; also?: Objection[] } & Objection);

const EFFECTS: readonly unknown[] = ['allow', 'approve', 'deny'] satisfies Effect[];

/** The policy, unless it is none: then a TypeError. */
export function definePolicy<Context extends PolicyContext = PolicyContext>(policy: Policy<Context>): Policy<Context> {
  if (!policy.key) throw new TypeError('A policy needs a key');
  if (!EFFECTS.includes(policy.effect))
    throw new TypeError(`${policy.key}: there is no effect ${String(policy.effect)}`);
  return policy;
}

/**
 * Asks policies in order, until one denies; of those that want an approval, all are told. Allowed
 * is what all of them allow, and what none was asked about. Rejects when a policy does, and denies
 * when it answers what is no verdict: a rule that is broken lets nobody in.
 */
export async function enforcePolicies<Context extends PolicyContext>(
  policies: readonly Policy<Context>[],
  asked: PolicyInput<Context>,
): Promise<PolicyDecision> {
  const objections: Objection[] = [];
  for (const { key, title, effect: otherwise, check } of policies) {
    const { effect, reason = title } = (await check(asked)) ?? { effect: otherwise };
    if (effect === 'allow') continue;
    if (effect !== 'approve') return { effect: 'deny', reason, policy: key };
    objections.push({ reason, policy: key });
  }
  const [first, ...also] = objections;
  return first ? { effect: 'approve', ...first, ...(also.length > 0 && { also }) } : { effect: 'allow' };
}
