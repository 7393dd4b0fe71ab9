/**
 * Lists, adds and removes links between accounts and external providers. The last sign-in method of
 * an account cannot be removed.
 */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { FederatedIdentity } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { ExternalIdentity, Identities } from '../identities/identities.js';
import type { TokenVault } from '../identities/token-vault.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import type { LinkNotifications } from './link-notifications.js';
import type { ExternalLogin, Provider } from './provider.js';
import type { TokenRevocation } from './token-revocation.js';

interface Deps {
  transact: Transact;
  accounts: Accounts;
  identities: Identities;
  tokenVault: Pick<TokenVault, 'idsFor' | 'find'>;
  tokenRevocation: Pick<TokenRevocation, 'revokeStored'>;
  sessions: Sessions;
  linkNotifications: LinkNotifications;
  providers: Provider[];
  /** The issuer URL of the upstream provider. */
  upstreamIssuer: string | undefined;
}

/** A link to an external provider, as the account page and the API show it. */
export interface Link {
  id: string;
  /** Undefined if no configured provider has this issuer. */
  provider: Pick<Provider, 'id' | 'name'> | undefined;
  issuer: string;
  subject: string;
  email: string | null;
  createdAt: Date;
  lastUsedAt: Date | null;
  /** Whether tokens of the provider are stored. */
  hasStoredTokens: boolean;
}

export type Links = ReturnType<typeof createLinks>;

export function createLinks({ transact, accounts, identities, providers, upstreamIssuer, ...deps }: Deps) {
  const { tokenVault, tokenRevocation, sessions, linkNotifications } = deps;

  return { list, link, linkByAdmin, unlink };

  /** Returns the links of an account. */
  async function list(accountId: string): Promise<Link[]> {
    const idsWithTokens = await tokenVault.idsFor(accountId);
    return (await identities.list(accountId)).map((identity) => toLink(identity, idsWithTokens.has(identity.id)));
  }

  /**
   * Links an identity to an account and notifies the user. Throws as `accounts.lockActing`
   * does, or `conflict` if the identity is linked to another account.
   */
  async function link(user: ActingUser, externalLogin: ExternalLogin, meta: RequestMeta): Promise<void> {
    const { provider, email } = externalLogin;
    try {
      await transact(async ({ tx, afterCommit }) => {
        const account = await accounts.lockActing(user, tx);
        await identities.link(account, externalLogin, email, meta, tx);
        afterCommit(() => linkNotifications.notify(account, provider.name, 'login', meta));
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      // The identity was linked before, or by a concurrent request.
      if ((await identities.find(externalLogin))?.id === user.account.id)
        return identities.recordUse(externalLogin, email);
      throw conflict(`This ${provider.name} account is linked to another account here.`);
    }
  }

  /**
   * Links an identity on behalf of an administrator and notifies the user. Throws `AppError`
   * `invalid_request` or `conflict`.
   */
  async function linkByAdmin(account: Account, identity: ExternalIdentity): Promise<void> {
    await identities.linkByAdmin(account, identity);
    await linkNotifications.notify(account, nameOf(identity.issuer), 'admin', systemMeta);
  }

  /**
   * Removes a link. Revokes the account's other sessions, because they can come from a sign-in with
   * this provider. Deletes and revokes the provider's tokens. Throws `AppError` `not_found`, or
   * `conflict` for the last sign-in method.
   */
  async function unlink({ account, session }: AuthenticatedSession, linkId: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      // With the lock, two concurrent calls cannot remove the last two sign-in methods.
      const current = await accounts.lockActing({ account, session }, tx);
      const allLinked = await identities.list(account.id, tx);
      const removed = allLinked.find(({ id }) => id === linkId);
      if (!removed) throw notFound('This link does not exist.');
      const hasOtherMethod =
        current.passwordHash !== null || allLinked.some((other) => other !== removed && isSignInMethod(other));
      if (isSignInMethod(removed) && !hasOtherMethod) {
        throw conflict('This is your only sign-in method. Set a password or link another provider first.');
      }
      const storedTokens = await tokenVault.find(removed.id, tx);
      await identities.remove(removed, meta, tx);
      await sessions.revokeAll(uow, account.id, { reason: 'mfa_changed', except: session.id, meta });
      if (storedTokens) afterCommit(() => tokenRevocation.revokeStored(removed.issuer, storedTokens));
    });
  }

  function toLink(
    { id, issuer, subject, email, createdAt, lastUsedAt }: FederatedIdentity,
    hasStoredTokens: boolean,
  ): Link {
    const provider = findProvider(issuer);
    return {
      id,
      provider: provider && { id: provider.id, name: provider.name },
      issuer,
      subject,
      email,
      createdAt,
      lastUsedAt,
      hasStoredTokens,
    };
  }

  function findProvider(issuer: string): Provider | undefined {
    return providers.find((provider) => provider.issuer === issuer);
  }

  /** Returns the name of the provider, or the host of an issuer without a configured provider. */
  function nameOf(issuer: string): string {
    return findProvider(issuer)?.name ?? (URL.canParse(issuer) ? new URL(issuer).host || issuer : issuer);
  }

  function isSignInMethod({ issuer }: FederatedIdentity): boolean {
    return issuer === upstreamIssuer || findProvider(issuer) !== undefined;
  }
}
