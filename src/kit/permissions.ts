/**
 * Whether what was granted covers what is needed. A star stands for a whole part, never for a piece
 * of one.
 */
import type { AgentContext } from './context.js';

export interface RequiredPermission {
  resource: string;
  action: string;
}

const ANY = '*';
/** The capability that *is* full access, and has no resource. */
const ADMIN = 'admin';

/**
 * Permissions are `resource:action`; `*:write`, `ticket:*` and `*:*` cover what they say. Whatever
 * is written otherwise covers nothing.
 */
export function checkPermission({ resource, action }: RequiredPermission, granted: readonly string[]): boolean {
  return covers(granted, resource, action);
}

/**
 * Scopes as Signet's agents have them, `action:resource` (`read:cap-table`), or one word. They are
 * granted as a list or, as in a token, separated by spaces; `read:*` and `*:*` cover what they say,
 * and `admin` covers everything.
 */
export function hasScope(required: string, granted: readonly string[] | string): boolean {
  const scopes = typeof granted === 'string' ? granted.split(' ') : granted;
  if (!Array.isArray(scopes) || typeof required !== 'string' || required === '') return false;
  if (scopes.includes(required) || scopes.includes(ADMIN)) return true;
  const [first, second] = partsOf(required) ?? [];
  return first !== undefined && second !== undefined && covers(scopes, first, second);
}

/**
 * Whether an agent may do this. What a service granted itself is `resource:action`; what Signet
 * granted may also be written as its scopes are, `action:resource` or `admin`.
 */
export function agentMay(
  { via, permissions }: Pick<AgentContext, 'via' | 'permissions'>,
  required: RequiredPermission,
): boolean {
  if (checkPermission(required, permissions)) return true;
  const bySignet = via === 'access-token' || via === 'introspected';
  return bySignet && hasScope(`${required.action}:${required.resource}`, permissions);
}

function covers(granted: readonly string[], first: string, second: string): boolean {
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
