/**
 * Revokes tokens at external providers when an account or a link is deleted (RFC 7009). It runs in
 * the background, and a failure changes nothing here.
 */
import type { Background } from '../../base/background.js';
import type { StoredTokens as Row } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { Log } from '../../base/log.js';
import type { ReceivedTokens, TokenVault } from '../identities/token-vault.js';
import type { CodeFlow } from './authorization-code.js';
import type { Provider } from './provider.js';

interface Deps {
  log: Log;
  background: Background;
  tokenVault: Pick<TokenVault, 'listFor' | 'open' | 'openRefresh'>;
  codeFlow: Pick<CodeFlow, 'revoke'>;
  providers: Provider[];
}

export type TokenRevocation = ReturnType<typeof createTokenRevocation>;

export function createTokenRevocation({ log, background, tokenVault, codeFlow, providers }: Deps) {
  return { revokeStored, revokeReceived, revokeAllFor };

  /** Revokes tokens whose row was deleted. */
  function revokeStored(issuer: string, row: Row): void {
    const provider = providers.find((one) => one.issuer === issuer);
    if (provider) start(provider, () => openToken(row));
  }

  /** Revokes tokens that were received for a link that no longer exists. */
  function revokeReceived(provider: Provider, { refreshToken, accessToken }: ReceivedTokens): void {
    start(provider, async () => refreshToken ?? accessToken);
  }

  /**
   * Revokes, after the commit, all stored tokens of an account that the unit of work deletes. Call
   * it before the account is deleted.
   */
  async function revokeAllFor({ tx, afterCommit }: UnitOfWork, accountId: string): Promise<void> {
    const rows = await tokenVault.listFor(accountId, tx);
    for (const { identity, ...row } of rows) afterCommit(() => revokeStored(identity.issuer, row));
  }

  function start(provider: Provider, read: () => Promise<string | undefined>): void {
    background.run('upstream token revocation', async () => {
      try {
        const token = await read();
        if (token) await codeFlow.revoke(provider, token);
      } catch (error) {
        log.info({ error, provider: provider.id }, 'an external provider did not revoke a token');
      }
    });
  }

  /** Prefers the refresh token: revoking it revokes its access tokens as well. */
  async function openToken(row: Row): Promise<string | undefined> {
    return (await tokenVault.openRefresh(row)) ?? (await tokenVault.open(row))?.accessToken;
  }
}
