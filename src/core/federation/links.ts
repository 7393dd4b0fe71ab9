/**
 * Who an account is at providers elsewhere: its person adds and removes them. One way to sign in
 * always stays.
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
  /** Of the provider whose passwords are taken here as well. */
  upstreamIssuer: string | undefined;
}

/** A link as its person sees it. */
export interface Link {
  id: string;
  /** Undefined for an issuer by which nobody signs in on a page. */
  provider: Pick<Provider, 'id' | 'name'> | undefined;
  issuer: string;
  subject: string;
  email: string | null;
  createdAt: Date;
  lastUsedAt: Date | null;
  /** What the provider gives for the person is kept here. */
  keepsToken: boolean;
}

export type Links = ReturnType<typeof createLinks>;

export function createLinks({ transact, accounts, identities, providers, upstreamIssuer, ...deps }: Deps) {
  const { tokenVault, tokenRevocation, sessions, linkNotifications } = deps;

  return { list, link, linkByAdmin, unlink };

  async function list(accountId: string): Promise<Link[]> {
    const kept = await tokenVault.idsFor(accountId);
    return (await identities.list(accountId)).map((identity) => toLink(identity, kept.has(identity.id)));
  }

  /**
   * The owner is told by mail. Refuses with `conflict` when the person there has an account
   * already.
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
      if ((await identities.find(externalLogin))?.id === id) return identities.recordUse(externalLogin, email); // twice at once, or once more
      throw conflict(`This person of ${provider.name} is linked to another account here.`);
    }
  }

  /**
   * The keeper says who somebody is elsewhere, and the owner is told by mail. Refuses with
   * `invalid_request` or `conflict`.
   */
  async function linkByAdmin(account: Account, person: ExternalIdentity): Promise<void> {
    await identities.linkByAdmin(account, person);
    await linkNotifications.notify(account, nameOf(person.issuer), 'admin', systemMeta);
  }

  /**
   * The account's other logins end: they may have come by it. What is kept of the provider goes,
   * and it is asked to forget it too. Refuses with `not_found`, and with `conflict` for the last
   * way in.
   */
  async function unlink({ account, session }: AuthenticatedSession, linkId: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      // Of two concurrent calls, the second one sees what the first has left.
      const current = await accounts.lock(account.id, tx);
      const all = await identities.list(account.id, tx);
      const one = all.find(({ id }) => id === linkId);
      if (!current || !one) throw notFound('There is no such link.');
      const staysOpen = current.passwordHash !== null || all.some((other) => other !== one && isSignInMethod(other));
      if (isSignInMethod(one) && !staysOpen) {
        throw conflict(
          'This is the only way in which you can sign in. Choose a password, or link another provider, first.',
        );
      }
      const stored = await tokenVault.find(one.id, tx);
      await identities.remove(one, meta, tx);
      await sessions.revokeAll(uow, account.id, { reason: 'factors_changed', except: session.id, meta });
      if (stored) afterCommit(() => tokenRevocation.revokeStored(one.issuer, stored));
    });
  }

  function toLink({ id, issuer, subject, email, createdAt, lastUsedAt }: FederatedIdentity, keepsToken: boolean): Link {
    const provider = providers.find((one) => one.issuer === issuer);
    return {
      id,
      provider: provider && { id: provider.id, name: provider.name },
      issuer,
      subject,
      email,
      createdAt,
      lastUsedAt,
      keepsToken,
    };
  }

  /** An issuer may be known by its tokens only. */
  function nameOf(issuer: string): string {
    const provider = providers.find((one) => one.issuer === issuer);
    return provider?.name ?? (URL.canParse(issuer) ? new URL(issuer).host || issuer : issuer);
  }

  function isSignInMethod({ issuer }: FederatedIdentity): boolean {
    return issuer === upstreamIssuer || providers.some((provider) => provider.issuer === issuer);
  }
}
