/** Compares granted permissions and scopes with required ones. `*` matches a whole part. */
import type { AgentContext } from './context.js';

export interface RequiredPermission {
  resource: string;
  action: string;
}

const ANY = '*';
/** The scope that grants full access. It has no resource. */
const ADMIN = 'admin';

/**
 * Reports whether the granted permissions, `resource:action`, include the required one. `*:write`,
 * `ticket:*` and `*:*` are wildcards. Malformed permissions grant nothing.
 */
export function checkPermission({ resource, action }: RequiredPermission, granted: readonly string[]): boolean {
  return includesPair(granted, resource, action);
}

/**
 * Reports whether the granted scopes, a list or a space-separated string, include the required one:
 * `action:resource` (`read:cap-table`), or one word. `read:*` and `*:*` are wildcards; `admin`
 * includes everything.
 */
export function hasScope(required: string, granted: readonly string[] | string): boolean {
  const scopes = typeof granted === 'string' ? granted.split(' ') : granted;
  if (!Array.isArray(scopes) || typeof required !== 'string' || required === '') return false;
  if (scopes.includes(required) || scopes.includes(ADMIN)) return true;
  const [first, second] = partsOf(required) ?? [];
  return first !== undefined && second !== undefined && includesPair(scopes, first, second);
}

/**
 * Reports whether an agent has a permission. Permissions granted by the service have the form
 * `resource:action`. If Signet issued the credential (`access-token`, `introspected`), they are
 * scopes: `action:resource`, or `admin`.
 */
export function agentMay(
  { via, permissions }: Pick<AgentContext, 'via' | 'permissions'>,
  required: RequiredPermission,
): boolean {
  if (checkPermission(required, permissions)) return true;
  const bySignet = via === 'access-token' || via === 'introspected';
  return bySignet && hasScope(`${required.action}:${required.resource}`, permissions);
}

function includesPair(granted: readonly string[], first: string, second: string): boolean {
  if (!Array.isArray(granted) || !first || !second) return false;
  return granted.some((permission) => {
    const parts = partsOf(permission);
    return parts !== undefined && matches(parts[0], first) && matches(parts[1], second);
  });
}

const matches = (pattern: string, value: string) => pattern === ANY || pattern === value;

function partsOf(permission: unknown): [string, string] | undefined {
  if (typeof permission !== 'string') return undefined;
  const parts = permission.split(':');
  return parts.length === 2 && parts[0] && parts[1] ? [parts[0], parts[1]] : undefined;
}
