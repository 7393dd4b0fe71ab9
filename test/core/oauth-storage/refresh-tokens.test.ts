// Rotation, retries and reuse detection: a family never has two usable refresh tokens.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { movableClock } from '../../support/movable-clock.js';
import { isActive, obtainCode, REDIRECT_URI, refresh, type TestClient } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { activeTokens, concurrently, introspect, openTokenFamily, revoke } from '../../support/token-family.js';

const NONE_ACTIVE = { accessTokens: [], refreshTokens: [] };

describe.each(stores)('the rotation of refresh tokens on $name', (store) => {
  let server: TestServer;
  let strict: TestServer;
  let client: TestClient;
  let email: string;
  let accountId: string;
  const { clock, later } = movableClock();
  let resource: string;
  beforeAll(async () => {
    server = await startServer({ store, clock });
    strict = await startServer({ sharedWith: server, settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
    client = await server.client();
    ({ email, id: accountId } = await server.account());
    resource = `${server.issuer}/api/v1`;
  });
  afterAll(async () => {
    await strict.close();
    await server.close();
  });

  it('replaces the successor from a lost response when the client retries', async () => {
    const family = await openTokenFamily(server, client, email);
    const lost = await refresh(server, client, family.refreshToken);
    const again = await refresh(server, client, family.refreshToken);
    expect([lost.status, again.status]).toEqual([200, 200]);
    expect(await isActive(server, lost.body.access_token!)).toBe(false);
    expect(await isActive(server, again.body.access_token!)).toBe(true);
    expect((await refresh(server, client, lost.body.refresh_token!)).body.error).toBe('invalid_grant');
    expect((await refresh(server, client, again.body.refresh_token!)).status).toBe(200);
  });

  it('treats a replaced refresh token as stolen after the reuse interval', async () => {
    const family = await openTokenFamily(server, client, email);
    const legitimate = await refresh(server, client, family.refreshToken);
    const attacker = await refresh(server, client, family.refreshToken); // within the interval it looks like a retry
    expect((await refresh(server, client, legitimate.body.refresh_token!)).body.error).toBe('invalid_grant');
    expect(await isActive(server, attacker.body.access_token!)).toBe(true); // otherwise a concurrent tab would lose its tokens
    await later(11_000, async () => {
      expect((await refresh(server, client, legitimate.body.refresh_token!)).body.error).toBe('invalid_grant');
      expect((await refresh(server, client, attacker.body.refresh_token!)).body.error).toBe('invalid_grant');
      expect(await isActive(server, attacker.body.access_token!)).toBe(false);
    });
  });

  it('keeps the previous access token active after a refresh', async () => {
    const family = await openTokenFamily(server, client, email);
    expect((await refresh(server, client, family.refreshToken)).status).toBe(200);
    expect(await isActive(server, family.accessToken)).toBe(true);
  });

  it.each(['opaque', 'jwt'])('leaves one usable refresh token after 20 concurrent refreshes (%s)', async (format) => {
    const more: Record<string, string> = format === 'jwt' ? { resource } : {};
    const family = await openTokenFamily(server, client, email, { scope: 'openid memory:read', ...more });
    const responses = await concurrently(20, () => refresh(server, client, family.refreshToken, more));
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
    const active = await activeTokens(server, client, responses, more);
    expect(active.refreshTokens).toHaveLength(1);
    expect(active.accessTokens).toHaveLength(1);
    const last = responses.find(({ body }) => body.refresh_token === active.refreshTokens[0]);
    expect(last?.body.access_token).toBe(active.accessTokens[0]);
    expect(active.accessTokens[0]!.includes('.')).toBe(format === 'jwt');
  });

  it('revokes the token family when a token is reused after its successor was used', async () => {
    const family = await openTokenFamily(server, client, email);
    const second = await refresh(server, client, family.refreshToken);
    const third = await refresh(server, client, second.body.refresh_token!);
    const theft = await refresh(server, client, family.refreshToken);
    expect([theft.status, theft.body.error]).toEqual([400, 'invalid_grant']);
    expect(await activeTokens(server, client, [second, third])).toEqual(NONE_ACTIVE);
    expect(await isActive(server, family.accessToken)).toBe(false);
    const [entry] = await server.core.audit.list({ action: 'refresh_token.replayed' }, 1);
    expect(entry).toMatchObject({ accountId, clientId: client.id, address: expect.stringContaining('127.0.0.1') });
  });

  it('revokes the token family when a token is reused after the reuse interval', async () => {
    const family = await openTokenFamily(server, client, email);
    const second = await refresh(server, client, family.refreshToken);
    await later(10_001, async () => {
      expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
      expect(await activeTokens(server, client, [second])).toEqual(NONE_ACTIVE);
    });
  });

  it('lets exactly one of 20 refreshes succeed without a reuse interval', async () => {
    const family = await openTokenFamily(server, client, email);
    const responses = await concurrently(20, () => refresh(strict, client, family.refreshToken));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(responses.filter(({ body }) => body.error === 'invalid_grant')).toHaveLength(19);
    expect(await activeTokens(strict, client, responses)).toEqual(NONE_ACTIVE); // the others were reuse
  });

  it('leaves one usable refresh token after concurrent refreshes at two servers', async () => {
    const secondServer = await startServer({ sharedWith: server });
    try {
      const family = await openTokenFamily(server, client, email);
      const responses = await concurrently(12, (n) =>
        refresh(n % 2 ? secondServer : server, client, family.refreshToken),
      );
      expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
      const active = await activeTokens(secondServer, client, responses);
      expect([active.accessTokens.length, active.refreshTokens.length]).toEqual([1, 1]);
    } finally {
      await secondServer.close();
    }
  });

  it('revokes the token family when a retry has another key', async () => {
    const [own, other] = [await makeKey(), await makeKey()];
    const family = await openTokenFamily(server, client, email);
    const params = { grant_type: 'refresh_token', refresh_token: family.refreshToken };
    const second = await tokenWithProof(server, client, own, params);
    expect(second.body.token_type).toBe('DPoP');
    const theft = await tokenWithProof(server, client, other, params);
    expect(theft.body.error).toBe('invalid_grant');
    expect((await introspect(server, client, second.body.access_token!)).body.active).toBe(false);
    expect((await refresh(server, client, second.body.refresh_token!)).body.error).toBe('invalid_grant');
  });

  it('revokes the token family when a retry has no key', async () => {
    const family = await openTokenFamily(server, client, email);
    const params = { grant_type: 'refresh_token', refresh_token: family.refreshToken };
    const second = await tokenWithProof(server, client, await makeKey(), params);
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
    expect((await introspect(server, client, second.body.access_token!)).body.active).toBe(false);
  });

  it('accepts a retry with the same key', async () => {
    const key = await makeKey();
    const family = await openTokenFamily(server, client, email);
    const params = { grant_type: 'refresh_token', refresh_token: family.refreshToken };
    const second = await tokenWithProof(server, client, key, params);
    const again = await tokenWithProof(server, client, key, params);
    expect([again.status, again.body.token_type]).toEqual([200, 'DPoP']);
    expect((await introspect(server, client, second.body.access_token!)).body.active).toBe(false);
    expect((await introspect(server, client, again.body.access_token!)).body.active).toBe(true);
  });

  it("binds a public client's refresh token to its key, and an attempt without it changes nothing", async () => {
    const app = await server.client({ token_endpoint_auth_method: 'none' });
    const [own, other] = [await makeKey(), await makeKey()];
    const { code, verifier } = await obtainCode(server, app, email);
    const grant = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: REDIRECT_URI };
    const first = await tokenWithProof(server, app, own, grant);
    const params = { grant_type: 'refresh_token', refresh_token: first.body.refresh_token! };
    expect((await tokenWithProof(server, app, other, params)).body.error).toBe('invalid_grant');
    expect((await refresh(server, app, first.body.refresh_token!)).body.error).toBe('invalid_grant');
    expect((await tokenWithProof(server, app, own, params)).status).toBe(200);
  });

  it('rejects a token of another client, and does not consume it', async () => {
    const family = await openTokenFamily(server, client, email);
    const otherClient = await server.client();
    expect((await refresh(server, otherClient, family.refreshToken)).body.error).toBe('invalid_grant');
    expect((await refresh(server, client, family.refreshToken)).status).toBe(200);
  });

  it('does not consume a token in a request that fails for its scope or resource', async () => {
    const family = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource });
    const wrong: Record<string, string>[] = [
      { scope: 'openid agent:write' },
      { resource: 'https://unknown.example/api' },
      { resource: 'not a uri' },
      { resource: `${server.issuer}/api/v2` },
    ];
    for (const more of wrong) {
      const rejected = await refresh(server, client, family.refreshToken, more);
      expect(rejected.status, JSON.stringify(more)).toBe(400);
    }
    const renewed = await refresh(server, client, family.refreshToken, { resource });
    expect([renewed.status, renewed.body.scope]).toEqual([200, 'memory:read']);
    expect((await refresh(server, client, renewed.body.refresh_token!, { resource })).status).toBe(200);
  });

  it('never widens the scope, and narrows it for one response only', async () => {
    const family = await openTokenFamily(server, client, email, { scope: 'openid email profile' });
    const narrow = await refresh(server, client, family.refreshToken, { scope: 'openid' });
    expect(narrow.body.scope).toBe('openid');
    const whole = await refresh(server, client, narrow.body.refresh_token!);
    expect(whole.body.scope?.split(' ').sort()).toEqual(['email', 'openid', 'profile']);
    const wider = await refresh(server, client, whole.body.refresh_token!, { scope: 'openid email profile phone' });
    expect(wider.body.error).toBe('invalid_scope');
  });

  it('leaves no active token when a revocation and 20 refreshes run concurrently', async () => {
    for (let round = 0; round < 3; round += 1) {
      const family = await openTokenFamily(server, client, email);
      const [responses, revoked] = await Promise.all([
        concurrently(20, () => refresh(server, client, family.refreshToken)),
        new Promise((resolve) => setTimeout(resolve, 15 * round)).then(() =>
          revoke(server, client, family.refreshToken),
        ),
      ]);
      expect(revoked.status).toBe(200);
      expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
      expect(await activeTokens(server, client, responses)).toEqual(NONE_ACTIVE);
      expect(await isActive(server, family.accessToken)).toBe(false);
    }
  });

  it.each(['consent revocation', 'session revocation'] as const)(
    'leaves no active token when %s and 20 refreshes run concurrently',
    async (revocation) => {
      const family = await openTokenFamily(server, client, email);
      const [responses] = await Promise.all([
        concurrently(20, () => refresh(server, client, family.refreshToken)),
        revocation === 'consent revocation'
          ? server.core.consents.revoke(accountId, client.id, systemMeta)
          : revokeAllSessions(server, accountId, 'revoked'),
      ]);
      expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
      expect(await activeTokens(server, client, responses)).toEqual(NONE_ACTIVE);
    },
  );

  it('stores grants that expire after all of their refresh tokens', async () => {
    const family = await openTokenFamily(server, client, email);
    const renewed = await refresh(server, client, family.refreshToken);
    const { exp } = (await introspect(server, client, renewed.body.refresh_token!)).body as { exp: number };
    const [grant] = await server.core.oauthStorage.grants.list(accountId);
    expect(grant!.expiresAt.getTime()).toBeGreaterThanOrEqual(exp * 1000);
    expect(grant!.expiresAt.getTime() - Date.now()).toBeGreaterThan(29 * 86_400_000);
  });

  it('does not issue a refresh token that expires after its grant', async () => {
    const short = await startServer({ store, settings: { REFRESH_TOKEN_TTL: '7d', SESSION_MAX: '1h' } });
    try {
      const [app, { email }] = [await short.client(), await short.account()];
      const family = await openTokenFamily(short, app, email);
      const { exp } = (await introspect(short, app, family.refreshToken)).body as { exp: number };
      expect(exp * 1000 - Date.now()).toBeLessThanOrEqual(3_600_000);
    } finally {
      await short.close();
    }
  });

  it('introspects a consumed token as not active, also within the reuse interval', async () => {
    const family = await openTokenFamily(server, client, email);
    expect((await introspect(server, client, family.refreshToken)).body.active).toBe(true);
    await refresh(server, client, family.refreshToken);
    expect((await introspect(server, client, family.refreshToken)).body).toEqual({ active: false });
  });
});
