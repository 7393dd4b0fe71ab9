/**
 * Policies: rules that allow a request, deny it, or require the approval of a user. If several
 * policies apply, the strictest result counts.
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
  /** The effect if `check` returns undefined. */
  effect: Effect;
  check(input: PolicyInput<Context>): Promise<PolicyVerdict | undefined> | PolicyVerdict | undefined;
}

interface Objection {
  reason: string;
  policy: string;
}

export type PolicyDecision =
  | { effect: 'allow' }
  | ({ effect: 'deny' } & Objection)
  /** `also`: the other policies that require approval. One approval covers all of them. */
  | ({ effect: 'approve'; also?: Objection[] } & Objection);

const EFFECTS: readonly unknown[] = ['allow', 'approve', 'deny'] satisfies Effect[];

/** Returns the policy. Throws a TypeError if it has no key or an unknown effect. */
export function definePolicy<Context extends PolicyContext = PolicyContext>(policy: Policy<Context>): Policy<Context> {
  if (!policy.key) throw new TypeError('A policy needs a key');
  if (!EFFECTS.includes(policy.effect))
    throw new TypeError(`${policy.key}: there is no effect ${String(policy.effect)}`);
  return policy;
}

/**
 * Evaluates policies in order, until one denies. Allows a request only if all policies allow it;
 * without policies, allows every request. Rejects if a policy throws, and denies if it returns an
 * unknown effect, because a broken policy must not grant access.
 */
export async function enforcePolicies<Context extends PolicyContext>(
  policies: readonly Policy<Context>[],
  input: PolicyInput<Context>,
): Promise<PolicyDecision> {
  const objections: Objection[] = [];
  for (const { key, title, effect: byDefault, check } of policies) {
    const { effect, reason = title } = (await check(input)) ?? { effect: byDefault };
    if (effect === 'allow') continue;
    if (effect !== 'approve') return { effect: 'deny', reason, policy: key };
    objections.push({ reason, policy: key });
  }
  const [first, ...also] = objections;
  return first ? { effect: 'approve', ...first, ...(also.length > 0 && { also }) } : { effect: 'allow' };
}
