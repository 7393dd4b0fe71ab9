/**
 * Links between accounts and external providers, which users add and remove. The last sign-in
 * method of an account cannot be removed.
 */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { FederatedIdentity } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { ExternalIdentity, Identities } from '../identities/identities.js';
import type { TokenVault } from '../identities/token-vault.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';
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

/** A link as its user sees it. */
export interface Link {
  id: string;
  /** Undefined if the issuer is not an external provider for sign-in. */
  provider: Pick<Provider, 'id' | 'name'> | undefined;
  issuer: string;
  subject: string;
  email: string | null;
  createdAt: Date;
  lastUsedAt: Date | null;
  /** Whether tokens of the provider are stored. */
  hasStoredToken: boolean;
}

export type Links = ReturnType<typeof createLinks>;

export function createLinks({ transact, accounts, identities, providers, upstreamIssuer, ...deps }: Deps) {
  const { tokenVault, tokenRevocation, sessions, linkNotifications } = deps;

  return { list, link, linkByAdmin, unlink };

  /** Returns the links of an account. */
  async function list(accountId: string): Promise<Link[]> {
    const storedIds = await tokenVault.idsFor(accountId);
    return (await identities.list(accountId)).map((identity) => toLink(identity, storedIds.has(identity.id)));
  }

  /**
   * Links an identity to an account and notifies the user. Throws `AppError` `not_found`, or
   * `conflict` if the identity is linked to another account.
   */
  async function link({ id }: Account, externalLogin: ExternalLogin, meta: RequestMeta): Promise<void> {
    const { provider, email } = externalLogin;
    try {
      await transact(async ({ tx, afterCommit }) => {
        const account = await accounts.lock(id, tx);
        if (!accounts.isActive(account)) throw notFound();
        await identities.link(account, externalLogin, email, meta, tx);
        afterCommit(() => linkNotifications.notify(account, provider.name, 'login', meta));
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      // Linked before, or by a concurrent request.
      if ((await identities.find(externalLogin))?.id === id) return identities.recordUse(externalLogin, email);
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
   * Removes a link, revokes the account's other sessions, which may have been created by it, and
   * deletes and revokes the provider's tokens. Throws `AppError` `not_found`, or `conflict` for the
   * last sign-in method.
   */
  async function unlink({ account, session }: AuthenticatedSession, linkId: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      // Of two concurrent calls, the second one sees the links that the first one has left.
      const current = await accounts.lock(account.id, tx);
      const all = await identities.list(account.id, tx);
      const one = all.find(({ id }) => id === linkId);
      if (!current || !one) throw notFound('This link does not exist.');
      const hasAnother = current.passwordHash !== null || all.some((other) => other !== one && isSignInMethod(other));
      if (isSignInMethod(one) && !hasAnother) {
        throw conflict('This is your only sign-in method. Set a password or link another provider first.');
      }
      const stored = await tokenVault.find(one.id, tx);
      await identities.remove(one, meta, tx);
      await sessions.revokeAll(uow, account.id, { reason: 'mfa_changed', except: session.id, meta });
      if (stored) afterCommit(() => tokenRevocation.revokeStored(one.issuer, stored));
    });
  }

  function toLink(
    { id, issuer, subject, email, createdAt, lastUsedAt }: FederatedIdentity,
    hasStoredToken: boolean,
  ): Link {
    const provider = providers.find((one) => one.issuer === issuer);
    return {
      id,
      provider: provider && { id: provider.id, name: provider.name },
      issuer,
      subject,
      email,
      createdAt,
      lastUsedAt,
      hasStoredToken,
    };
  }

  /** Returns the provider's name, or the host of an issuer that is not used for sign-in. */
  function nameOf(issuer: string): string {
    const provider = providers.find((one) => one.issuer === issuer);
    return provider?.name ?? (URL.canParse(issuer) ? new URL(issuer).host || issuer : issuer);
  }

  function isSignInMethod({ issuer }: FederatedIdentity): boolean {
    return issuer === upstreamIssuer || providers.some((provider) => provider.issuer === issuer);
  }
}
