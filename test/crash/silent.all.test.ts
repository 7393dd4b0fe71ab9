// A PostgreSQL that falls silent in the middle of a family's life: the token endpoint says so in
// time, and nothing is lost.
import { expect, it } from 'vitest';
import { redeem, refresh } from '../support/relying-party.js';
import { startServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { openWire } from '../support/tcp-proxy.js';
import { openFamily } from '../support/token-family.js';

const ANSWERS_WITHIN_MS = 15_000;

it('answers 503 to a refresh and to a code while PostgreSQL is silent, and 200 to the same refresh afterwards', async () => {
  const store = stores.find(({ name }) => name === 'PostgreSQL')!;
  const data = await store.open();
  const wire = await openWire(data.databaseUrl);
  const server = await startServer({
    store: { ...store, open: async () => ({ ...data, databaseUrl: wire.url }) },
    settings: { REFRESH_TOKEN_REUSE_INTERVAL: '5m' },
  });
  try {
    const client = await server.client();
    const { email } = await server.account();
    const { refreshToken } = await openFamily(server, client, email);

    wire.mute();
    const began = Date.now();
    const answers = await Promise.all([
      refresh(server, client, refreshToken),
      redeem(server, client, { code: 'a'.repeat(43), verifier: 'b'.repeat(43) }),
    ]);
    expect(Date.now() - began).toBeLessThan(ANSWERS_WITHIN_MS);
    for (const { status, body, headers } of answers) {
      expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }

    wire.cut();
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  } finally {
    wire.cut();
    await server.close();
    wire.close();
  }
}, 60_000);
