/**
 * Tells clients that a login has ended (OIDC Back-Channel Logout), whoever ended it and wherever.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Secrets } from '../../base/crypto.js';
import type { Log } from '../../base/log.js';
import type { RevokedSession } from '../../core/sessions/revocation.js';
import { sidOf } from './patches/session-follows-login.js';
import type { Providers } from './provider/provider.js';
import type { LogoutClient } from './provider-internals.js';

interface Deps {
  providers: Providers;
  secrets: Secrets;
  log: Log;
}

/** Milliseconds before the second and the third try. */
const RETRY_AFTER_MS = [500, 3000];

export function createBackchannelLogout({ providers, secrets, log }: Deps) {
  const running = new Set<Promise<void>>();

  return { notify, settle };

  /** Begins to tell them, and returns at once: nobody who signs out waits for other servers. */
  function notify(ended: RevokedSession[]): void {
    for (const { sessionId, accountId, clientIds } of ended) {
      for (const clientId of clientIds) {
        const call = notifyClient(clientId, accountId, sidOf(secrets, sessionId, clientId)).finally(() =>
          running.delete(call),
        );
        running.add(call);
      }
    }
  }

  /** Waits for the calls that are under way. */
  async function settle(): Promise<void> {
    await Promise.all(running);
  }

  async function notifyClient(clientId: string, accountId: string, sid: string): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { main } = await providers.current();
        const client = (await main.Client.find(clientId)) as LogoutClient | undefined;
        if (client?.backchannelLogoutUri) await client.backchannelLogout(accountId, sid);
        return;
      } catch (error) {
        const pause = RETRY_AFTER_MS[attempt];
        if (pause === undefined) {
          log.warn({ error, clientId }, 'the client could not be told that a login has ended');
          return;
        }
        await sleep(pause);
      }
    }
  }
}
