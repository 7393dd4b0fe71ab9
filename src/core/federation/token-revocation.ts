/**
 * Revokes tokens at external providers when an account or a link is deleted (RFC 7009). This runs
 * in the background. Failures are logged.
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

  /** Revokes the tokens of a row that was deleted. */
  function revokeStored(issuer: string, row: Row): void {
    const provider = providers.find((candidate) => candidate.issuer === issuer);
    if (provider) revokeInBackground(provider, () => decryptToken(row));
  }

  /** Revokes tokens that the provider returned for a link that no longer exists. */
  function revokeReceived(provider: Provider, { refreshToken, accessToken }: ReceivedTokens): void {
    revokeInBackground(provider, async () => refreshToken ?? accessToken);
  }

  /**
   * Revokes all stored tokens of an account after the commit. Call it before the unit of work
   * deletes the account.
   */
  async function revokeAllFor({ tx, afterCommit }: UnitOfWork, accountId: string): Promise<void> {
    const rows = await tokenVault.listFor(accountId, tx);
    for (const { identity, ...row } of rows) afterCommit(() => revokeStored(identity.issuer, row));
  }

  function revokeInBackground(provider: Provider, getToken: () => Promise<string | undefined>): void {
    background.run('revoke a provider token', async () => {
      try {
        const token = await getToken();
        if (token) await codeFlow.revoke(provider, token);
      } catch (error) {
        log.info({ error, provider: provider.id }, 'could not revoke a token at an external provider');
      }
    });
  }

  /** Prefers the refresh token, because revoking it also revokes its access tokens. */
  async function decryptToken(row: Row): Promise<string | undefined> {
    return (await tokenVault.openRefresh(row)) ?? (await tokenVault.open(row))?.accessToken;
  }
}
