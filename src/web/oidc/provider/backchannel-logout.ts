/** Sends OIDC Back-Channel Logout tokens to clients when a session is revoked. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Background } from '../../../base/background.js';
import type { Secrets } from '../../../base/crypto.js';
import type { Log } from '../../../base/log.js';
import type { RevokedSession } from '../../../core/sessions/revocation.js';
import { sidOf } from '../patches/session-follows-login.js';
import type { LogoutClient } from '../provider-internals.js';
import type { Providers } from './provider.js';

interface Deps {
  background: Background;
  providers: Providers;
  secrets: Secrets;
  log: Log;
}

/** The delays before the second and the third attempt. */
const RETRY_DELAYS_MS = [500, 3000];

export function createBackchannelLogout({ background, providers, secrets, log }: Deps) {
  return { notify };

  /** Sends a logout token to each client of these sessions, in the background. */
  function notify(revoked: RevokedSession[]): void {
    for (const { sessionId, accountId, clientIds } of revoked) {
      for (const clientId of clientIds) {
        const sid = sidOf(secrets, sessionId, clientId);
        background.run('back-channel logout', () => notifyClient(clientId, accountId, sid));
      }
    }
  }

  async function notifyClient(clientId: string, accountId: string, sid: string): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { main } = await providers.current();
        const client = (await main.Client.find(clientId)) as LogoutClient | undefined;
        if (client?.backchannelLogoutUri) await client.backchannelLogout(accountId, sid);
        return;
      } catch (error) {
        const delayMs = RETRY_DELAYS_MS[attempt];
        if (delayMs === undefined) {
          log.warn({ error, clientId }, 'back-channel logout failed');
          return;
        }
        await sleep(delayMs);
      }
    }
  }
}
