/** Who is behind a request, once it is proven. */
import type { Account } from '../accounts/accounts.js';
import type { AccessTokenUse } from '../sessions/tokens.js';

/** The person, signed in here by a first-party login. */
export interface LoginPrincipal extends AccessTokenUse {
  kind: 'login';
  account: Account;
}

/** An OAuth client with an access token for our own API: for a person, or, where there is no account, for itself. */
export interface OAuthPrincipal {
  kind: 'oauth';
  account: Account | undefined;
  clientId: string;
  scopes: string[];
  expiresAt: Date;
}

/** A person whom an issuer elsewhere vouches for. Who they are is known, and that they are at the keyboard now is not. */
export interface ForeignPrincipal {
  kind: 'foreign';
  account: Account;
  issuer: string;
  expiresAt: Date;
}

export type Principal = LoginPrincipal | OAuthPrincipal | ForeignPrincipal;
export type PrincipalKind = Principal['kind'];

/** Whom limits and answers count it for. */
export function subjectOf(principal: Principal): { type: 'human' | 'agent'; id: string } {
  switch (principal.kind) {
    case 'login':
    case 'foreign':
      return { type: 'human', id: principal.account.id };
    case 'oauth':
      return principal.account
        ? { type: 'human', id: principal.account.id }
        : { type: 'agent', id: principal.clientId };
  }
}
