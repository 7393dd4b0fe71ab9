// PostgreSQL stops responding: the token endpoint returns errors in time, and no token is lost.
import { expect, it } from 'vitest';
import { redeemCode, refresh } from '../support/relying-party.js';
import { startServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { openTcpProxy } from '../support/tcp-proxy.js';
import { openTokenFamily } from '../support/token-family.js';

const RESPONSE_TIMEOUT_MS = 15_000;

it('returns 503 for refresh and code grants while PostgreSQL does not respond, then accepts the refresh', async () => {
  const store = stores.find(({ name }) => name === 'PostgreSQL')!;
  const data = await store.open();
  const proxy = await openTcpProxy(data.databaseUrl);
  const server = await startServer({
    store: { ...store, open: async () => ({ ...data, databaseUrl: proxy.url }) },
    settings: { REFRESH_TOKEN_REUSE_INTERVAL: '5m' },
  });
  try {
    const client = await server.client();
    const { email } = await server.account();
    const { refreshToken } = await openTokenFamily(server, client, email);

    proxy.mute();
    const began = Date.now();
    const responses = await Promise.all([
      refresh(server, client, refreshToken),
      redeemCode(server, client, { code: 'a'.repeat(43), verifier: 'b'.repeat(43) }),
    ]);
    expect(Date.now() - began).toBeLessThan(RESPONSE_TIMEOUT_MS);
    for (const { status, body, headers } of responses) {
      expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }

    proxy.cut();
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  } finally {
    proxy.cut();
    await server.close();
    proxy.close();
  }
}, 60_000);
