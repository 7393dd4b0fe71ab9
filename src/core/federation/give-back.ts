/**
 * Asks a provider elsewhere to forget what it gave for somebody who does not come by it any more (RFC 7009). In the background: nobody
 * waits for it, and whether it is heard changes nothing here.
 */
import type { KeptTokens as Row } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import type { KeptTokens } from '../identities/kept-tokens.js';
import type { Exchange } from './exchange.js';
import type { Provider } from './provider.js';

interface Needs {
  log: Log;
  keptTokens: Pick<KeptTokens, 'open' | 'openRefresh'>;
  exchange: Pick<Exchange, 'revoke'>;
  providers: Provider[];
}

export type GiveBack = ReturnType<typeof createGiveBack>;

export function createGiveBack({ log, keptTokens, exchange, providers }: Needs) {
  const underWay = new Set<Promise<void>>();

  return { later, settle };

  /** @param kept as it lay there; it is gone by now */
  function later(issuer: string, kept: Row): void {
    const provider = providers.find((one) => one.issuer === issuer);
    if (!provider) return;
    const job = giveBack(provider, kept)
      .catch((error) => log.info({ error, provider: provider.id }, 'a provider elsewhere does not forget a token'))
      .finally(() => underWay.delete(job));
    underWay.add(job);
  }

  /** By its refresh token, where there is one: the access tokens that came of it go with that. */
  async function giveBack(provider: Provider, kept: Row): Promise<void> {
    const token = (await keptTokens.openRefresh(kept)) ?? (await keptTokens.open(kept))?.accessToken;
    if (token) await exchange.revoke(provider, token);
  }

  /** Waits for what is being asked. */
  async function settle(): Promise<void> {
    await Promise.all(underWay);
  }
}
