/** Converts a token of Signet, or a response of its `/api/validate`, into an `AuthContext`. */
import type { JWTPayload } from 'jose';
import type { Authenticated } from './context.js';
import type { ValidResponse } from './validation.js';

interface AccessTokenClaims {
  sub: string;
  client_id: string;
  scope?: string;
  exp: number;
  act?: { sub?: unknown };
}

/** Converts a verified first-party login token (`session+jwt`). */
export function toLoginContext(claims: JWTPayload): Authenticated {
  const { sub, email, role, exp } = claims as { sub: string; email?: string; role?: string; exp: number };
  const expiresAt = new Date(exp * 1000);
  return { type: 'human', isAuthenticated: true, via: 'login', userId: sub, email, role, expiresAt, claims };
}

/**
 * Converts a verified access token (RFC 9068). A client with a token for itself is an agent, and so
 * is a client that acts for a user (RFC 8693, 4.1).
 */
export function toAccessTokenContext(claims: JWTPayload): Authenticated {
  const { sub, client_id: clientId, scope = '', exp, act } = claims as unknown as AccessTokenClaims;
  const scopes = typeof scope === 'string' && scope ? scope.split(' ') : [];
  const expiresAt = new Date(exp * 1000);
  const common = { isAuthenticated: true, via: 'access-token', scopes, clientId, expiresAt, claims } as const;
  const agent = { ...common, type: 'agent', permissions: scopes } as const;
  if (typeof act?.sub === 'string') return { ...agent, agentId: act.sub, onBehalfOf: sub };
  if (sub === clientId) return { ...agent, agentId: sub };
  return { ...common, type: 'human', userId: sub };
}

/**
 * Converts a response of `/api/validate`. A key acts for its owner. A client acts for a user, or
 * for itself.
 *
 * @param trustKeyScopes whether to include the scopes that the holder of a key chose
 */
export function toIntrospectedContext(response: ValidResponse, trustKeyScopes: boolean): Authenticated {
  const { user, principal } = response;
  const { type, client_id: clientId } = principal ?? {};
  const scopes = isKey(response) && !trustKeyScopes ? [] : principal?.scopes;
  const common = { isAuthenticated: true, via: 'introspected', scopes, clientId, claims: principal } as const;
  if (type === 'agent' || (type === 'client' && user.id === clientId)) {
    const agentId = principal?.id ?? user.id; // `agent_id` is unique only within its organization
    const agentName = principal?.name ?? user.name ?? undefined;
    return { ...common, type: 'agent', agentId, agentName, permissions: scopes ?? [] };
  }
  const { id: userId, name, email, role } = user;
  return { ...common, type: 'human', userId, name: name ?? undefined, email: email ?? undefined, role };
}

/**
 * Reports whether the holder chose the scopes of a credential: an API key, or the key of an agent.
 * Signet grants the scopes of clients; a first-party login has no principal.
 */
export const isKey = ({ principal }: ValidResponse) => principal !== undefined && principal.type !== 'client';
