/**
 * Asks a provider elsewhere to forget what it gave for somebody who does not come by it any more
 * (RFC 7009). In the background: nobody waits for it, and whether it is heard changes nothing here.
 */
import type { StoredTokens as Row } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { Log } from '../../base/log.js';
import type { GivenTokens, TokenVault } from '../identities/token-vault.js';
import type { Exchange } from './authorization-code.js';
import type { Provider } from './provider.js';

interface Deps {
  log: Log;
  tokenVault: Pick<TokenVault, 'listFor' | 'open' | 'openRefresh'>;
  exchange: Pick<Exchange, 'revoke'>;
  providers: Provider[];
}

export type TokenRevocation = ReturnType<typeof createTokenRevocation>;

export function createTokenRevocation({ log, tokenVault, exchange, providers }: Deps) {
  const running = new Set<Promise<void>>();

  return { revokeStored, revokeReceived, revokeAllFor, settle };

  /** What lay there, and is gone by now. */
  function revokeStored(issuer: string, row: Row): void {
    const provider = providers.find((one) => one.issuer === issuer);
    if (provider) begin(provider, () => tokenIn(row));
  }

  /** What came for somebody who is gone by now. */
  function revokeReceived(provider: Provider, { refreshToken, accessToken }: GivenTokens): void {
    begin(provider, async () => refreshToken ?? accessToken);
  }

  /**
   * Revokes, after the commit, all stored tokens of an account that the unit of work deletes. Call
   * it before the account is deleted.
   */
  async function revokeAllFor({ tx, afterCommit }: UnitOfWork, accountId: string): Promise<void> {
    const rows = await tokenVault.listFor(accountId, tx);
    for (const { identity, ...row } of rows) afterCommit(() => revokeStored(identity.issuer, row));
  }

  function begin(provider: Provider, read: () => Promise<string | undefined>): void {
    const job = tokenRevocation(provider, read)
      .catch((error) => log.info({ error, provider: provider.id }, 'a provider elsewhere does not forget a token'))
      .finally(() => running.delete(job));
    running.add(job);
  }

  async function tokenRevocation(provider: Provider, read: () => Promise<string | undefined>): Promise<void> {
    const token = await read();
    if (token) await exchange.revoke(provider, token);
  }

  /** The refresh token, where there is one: the access tokens that came of it go with that. */
  async function tokenIn(row: Row): Promise<string | undefined> {
    return (await tokenVault.openRefresh(row)) ?? (await tokenVault.open(row))?.accessToken;
  }

  /** Waits for what is being asked. */
  async function settle(): Promise<void> {
    await Promise.all(running);
  }
}
