/** Who is behind a request, once it is proven. */
import type { Account } from '../accounts/accounts.js';
import type { Agent } from '../agents/active-agents.js';
import type { ApiKeyUse, KeyRole } from '../api-keys/api-keys.js';
import type { Actor } from '../organizations/organizations.js';
import type { AccessTokenUse } from '../sessions/tokens.js';
import type { Confirmation } from './proof-of-possession.js';

/** The person, signed in here by a first-party login. */
export interface LoginPrincipal extends AccessTokenUse {
  kind: 'login';
  account: Account;
}

/**
 * An OAuth client with an access token for our own API: for a person, or, where there is no
 * account, for itself.
 */
export interface OAuthPrincipal {
  kind: 'oauth';
  account: Account | undefined;
  clientId: string;
  scopes: string[];
  expiresAt: Date;
  /** What the token is bound to; whoever sends it must prove to have it. */
  boundTo?: Confirmation | undefined;
}

/**
 * A person whom an issuer elsewhere vouches for. Who they are is known, and that they are at the
 * keyboard now is not.
 */
export interface ExternalPrincipal {
  kind: 'foreign';
  account: Account;
  issuer: string;
  expiresAt: Date;
  /** What the token is bound to; whoever sends it must prove to have it. */
  boundTo?: Confirmation | undefined;
}

/** A key, which acts for an account in one organization, within its own bounds. */
export interface ApiKeyPrincipal extends ApiKeyUse {
  kind: 'api-key';
  expiresAt: Date;
}

/**
 * An agent, which acts for itself: by its key, or by a token for our own API that came of its key.
 */
export interface AgentPrincipal {
  kind: 'agent';
  agent: Agent;
  by: 'key' | 'token';
  /** What this credential stands for: of its capabilities some, or that tools may ask about it. */
  scopes: string[];
  expiresAt: Date;
  /** What its token is bound to; whoever sends it must prove to have it. */
  boundTo?: Confirmation | undefined;
}

/**
 * A program that the platform on which it runs certifies (SPIFFE). Nobody here made it, and no
 * account stands behind it.
 */
export interface WorkloadPrincipal {
  kind: 'workload';
  account: undefined;
  spiffeId: string;
  expiresAt: Date;
}

export type Principal =
  | LoginPrincipal
  | OAuthPrincipal
  | ExternalPrincipal
  | ApiKeyPrincipal
  | AgentPrincipal
  | WorkloadPrincipal;
/** Those that stand for an account. */
export type AccountPrincipal = LoginPrincipal | ExternalPrincipal | ApiKeyPrincipal;
export type PrincipalKind = Principal['kind'];

/** Who it is. */
export function subjectOf(principal: Principal): { type: 'human' | 'agent'; id: string } {
  switch (principal.kind) {
    case 'login':
    case 'foreign':
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

/** The account that it stands for. An agent stands for itself, whoever answers for it. */
export function accountBehind(principal: Principal): Account | undefined {
  return principal.kind === 'agent' ? undefined : principal.account;
}

/**
 * Whom its requests are counted for: a key by itself, so that one script of a person does not stop
 * another.
 */
export function rateLimitSubject(principal: Principal): { type: 'human' | 'agent'; id: string } {
  return principal.kind === 'api-key' ? { type: 'agent', id: principal.key.id } : subjectOf(principal);
}

/** Who acts in an organization, and within which bounds. */
export function actorOf(principal: AccountPrincipal): Actor {
  if (principal.kind !== 'api-key') return { accountId: principal.account.id };
  const { organizationId, projectId, role } = principal.key;
  return {
    accountId: principal.account.id,
    key: { organizationId, projectId: projectId ?? undefined, role: role as KeyRole },
  };
}
