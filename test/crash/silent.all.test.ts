// A PostgreSQL that stops responding: the token endpoint responds with an error in time, and
// nothing is lost.
import { expect, it } from 'vitest';
import { redeemCode, refresh } from '../support/relying-party.js';
import { startServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { openTcpProxy } from '../support/tcp-proxy.js';
import { openTokenFamily } from '../support/token-family.js';

const ANSWERS_WITHIN_MS = 15_000;

it('responds to a refresh and a code with 503 while PostgreSQL is silent, and then accepts the refresh', async () => {
  const store = stores.find(({ name }) => name === 'PostgreSQL')!;
  const data = await store.open();
  const wire = await openTcpProxy(data.databaseUrl);
  const server = await startServer({
    store: { ...store, open: async () => ({ ...data, databaseUrl: wire.url }) },
    settings: { REFRESH_TOKEN_REUSE_INTERVAL: '5m' },
  });
  try {
    const client = await server.client();
    const { email } = await server.account();
    const { refreshToken } = await openTokenFamily(server, client, email);

    wire.mute();
    const began = Date.now();
    const answers = await Promise.all([
      refresh(server, client, refreshToken),
      redeemCode(server, client, { code: 'a'.repeat(43), verifier: 'b'.repeat(43) }),
    ]);
    expect(Date.now() - began).toBeLessThan(ANSWERS_WITHIN_MS);
    for (const { status, body, headers } of answers) {
      expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }

    wire.cut();
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  } finally {
    wire.cut();
    await server.close();
    wire.close();
  }
}, 60_000);
