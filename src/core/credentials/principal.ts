/** Principals: the authenticated parties of requests. */
import type { Account } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Agent } from '../agents/active-agents.js';
import type { ApiKeyUse, KeyRole } from '../api-keys/api-keys.js';
import type { Actor } from '../organizations/organizations.js';
import type { AccessTokenUse } from '../sessions/tokens.js';
import type { Confirmation } from './proof-of-possession.js';

/** A user with a first-party session. */
export interface SessionPrincipal extends AccessTokenUse {
  kind: 'session';
  account: Account;
}

/** An OAuth client with an access token, for a user or, without an account, for itself. */
export interface OAuthPrincipal {
  kind: 'oauth';
  account: Account | undefined;
  clientId: string;
  scopes: string[];
  expiresAt: Date;
  /** The key or certificate to which the token is bound; the request must prove possession. */
  boundTo?: Confirmation | undefined;
}

/** A user identified by a token of an external issuer. Recent authentication is unknown. */
export interface ExternalPrincipal {
  kind: 'external';
  account: Account;
  issuer: string;
  expiresAt: Date;
  /** The key or certificate to which the token is bound; the request must prove possession. */
  boundTo?: Confirmation | undefined;
}

/** An API key, which acts for an account in one organization, within its role and scopes. */
export interface ApiKeyPrincipal extends ApiKeyUse {
  kind: 'api-key';
  expiresAt: Date;
}

/** An agent that acts for itself, with its key or with a token issued for it. */
export interface AgentPrincipal {
  kind: 'agent';
  agent: Agent;
  by: 'key' | 'token';
  /** The scopes of this credential: some of the agent's capabilities, or the validation scope. */
  scopes: string[];
  expiresAt: Date;
  /** The key or certificate to which the token is bound; the request must prove possession. */
  boundTo?: Confirmation | undefined;
}

/** A workload identified by its platform (SPIFFE). It has no account and is not stored here. */
export interface WorkloadPrincipal {
  kind: 'workload';
  account: undefined;
  spiffeId: string;
  expiresAt: Date;
}

export type Principal =
  | SessionPrincipal
  | OAuthPrincipal
  | ExternalPrincipal
  | ApiKeyPrincipal
  | AgentPrincipal
  | WorkloadPrincipal;
/** Principals that always have an account. */
export type AccountPrincipal = SessionPrincipal | ExternalPrincipal | ApiKeyPrincipal;
export type PrincipalKind = Principal['kind'];

/** Returns the subject of a principal, as a human or an agent. */
export function subjectOf(principal: Principal): { type: 'human' | 'agent'; id: string } {
  switch (principal.kind) {
    case 'session':
    case 'external':
    case 'api-key':
      return { type: 'human', id: principal.account.id };
    case 'agent':
      return { type: 'agent', id: principal.agent.id };
    case 'oauth':
      return principal.account
        ? { type: 'human', id: principal.account.id }
        : { type: 'agent', id: principal.clientId };
    case 'workload':
      return { type: 'agent', id: principal.spiffeId };
  }
}

/** Returns the account of a principal. An agent acts for itself, not for its owner. */
export function accountBehind(principal: Principal): Account | undefined {
  return principal.kind === 'agent' ? undefined : principal.account;
}

/**
 * Returns the subject for rate limits. Each API key counts by itself, so keys do not affect others.
 */
export function rateLimitSubject(principal: Principal): { type: 'human' | 'agent'; id: string } {
  return principal.kind === 'api-key' ? { type: 'agent', id: principal.key.id } : subjectOf(principal);
}

/** Returns the user who acts, for changes that recheck the session. */
export function actingUserOf(principal: AccountPrincipal): ActingUser {
  return principal.kind === 'session' ? principal.authenticated : { account: principal.account };
}

/** Returns the principal as an actor in organizations, with the limits of an API key. */
export function actorOf(principal: AccountPrincipal): Actor {
  if (principal.kind !== 'api-key') return { accountId: principal.account.id };
  const { organizationId, projectId, role } = principal.key;
  return {
    accountId: principal.account.id,
    key: { organizationId, projectId: projectId ?? undefined, role: role as KeyRole },
  };
}
