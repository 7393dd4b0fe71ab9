// First-party tokens: single use, retries and reuse detection, races with revocation, expiry.

import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { type ApiSession, createSignedInAccount, getMe, logIn, refreshSession } from '../../support/api.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi, postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const AFTER_REUSE_INTERVAL_MS = 11_000;

describe.each(stores)('a session with tokens on $name', (store) => {
  let server: TestServer;
  let strict: TestServer;
  let secondServer: TestServer;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock });
    strict = await startServer({ sharedWith: server, clock, settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
    secondServer = await startServer({ sharedWith: server, clock });
  });
  afterAll(async () => {
    await secondServer.close();
    await strict.close();
    await server.close();
  });

  const sessionOf = (token: string) => String(decodeJwt(token).sid);
  const statusOf = async (token: string, at: TestServer = server) => (await getMe(at, token)).status;

  /** Returns the tokens of these responses that are still active. Uses their refresh tokens up. */
  async function activeTokensOf(responses: { status: number; json: Record<string, unknown> }[]) {
    const issued = responses.filter(({ status }) => status === 200).map(({ json }) => json as unknown as ApiSession);
    const access: string[] = [];
    for (const { access_token: token } of issued) if ((await statusOf(token)) === 200) access.push(token);
    const refresh: string[] = [];
    for (const { refresh_token: token } of issued)
      if ((await refreshSession(server, token)).status === 200) refresh.push(token);
    return { access, refresh };
  }

  it('has a JWT of its own type and an opaque refresh token that is stored as a hash only', async () => {
    const {
      access_token: accessToken,
      refresh_token: refreshToken,
      accountId,
      email,
    } = await createSignedInAccount(server);
    expect(decodeProtectedHeader(accessToken)).toMatchObject({ alg: 'ES256', typ: 'session+jwt' });
    const claims = decodeJwt(accessToken);
    expect(claims).toMatchObject({
      iss: server.issuer,
      aud: `${server.issuer}/api/v1`,
      sub: accountId,
      client_id: 'signet',
      amr: ['pwd'],
      email,
      role: 'viewer',
      auth_time: expect.any(Number),
      sid: expect.any(String),
      jti: expect.any(String),
    });
    expect(claims.exp! - claims.iat!).toBe(8 * 3600);
    expect(refreshToken).toMatch(/^[\w-]{43}$/);
    const rows = JSON.stringify([
      await server.base.db.refreshToken.findMany(),
      await server.base.db.session.findMany(),
      await server.base.db.grant.findMany(),
    ]);
    for (const secret of [accessToken, refreshToken]) expect(rows).not.toContain(secret);
  });

  it('rotates its refresh token, which is valid once', async () => {
    const first = await createSignedInAccount(server);
    const second = await refreshSession(server, first.refresh_token);
    expect(second.status).toBe(200);
    expect(second.json.refresh_token).not.toBe(first.refresh_token);
    expect((await refreshSession(server, String(second.json.refresh_token))).status).toBe(200);
    expect((await refreshSession(server, first.refresh_token)).json.error).toBe('invalid_token');
  });

  it('is revoked when a refresh token is reused after its successor was used', async () => {
    const first = await createSignedInAccount(server);
    const second = (await refreshSession(server, first.refresh_token)).json as unknown as ApiSession;
    const third = (await refreshSession(server, second.refresh_token)).json as unknown as ApiSession;
    expect((await refreshSession(server, first.refresh_token)).status).toBe(401);
    for (const { access_token: token } of [first, second, third]) expect(await statusOf(token)).toBe(401);
    for (const { refresh_token: token } of [first, second, third])
      expect((await refreshSession(server, token)).status).toBe(401);
    const events = await server.core.audit.list({ sessionId: sessionOf(first.access_token) });
    expect(events.map(({ action }) => action)).toContain('refresh_token.replayed');
    expect(events.find(({ action }) => action === 'session.ended')?.detail).toEqual({ reason: 'token_reuse' });
  });

  it('accepts a reused refresh token within the reuse interval, and is revoked by reuse after it', async () => {
    const first = await createSignedInAccount(server);
    const lost = (await refreshSession(server, first.refresh_token)).json as unknown as ApiSession;
    const again = (await refreshSession(server, first.refresh_token)).json as unknown as ApiSession;
    expect(await statusOf(lost.access_token)).toBe(401);
    expect((await refreshSession(server, lost.refresh_token)).status).toBe(401);
    expect(await statusOf(again.access_token)).toBe(200);
    expect(await statusOf(first.access_token)).toBe(200);
    await later(AFTER_REUSE_INTERVAL_MS, async () => {
      expect((await refreshSession(server, first.refresh_token)).status).toBe(401);
      expect(await statusOf(again.access_token)).toBe(401);
    });
  });

  it('revokes the access tokens of a lost response, including extended ones', async () => {
    const first = await createSignedInAccount(server);
    const lost = (await refreshSession(server, first.refresh_token)).json as unknown as ApiSession;
    const extended = await callApi(server, 'POST', '/auth/refresh', { token: lost.access_token });
    expect(extended.status).toBe(200);
    await refreshSession(server, first.refresh_token);
    expect(await statusOf(String(extended.json.access_token))).toBe(401);
  });

  it('has exactly one active branch after 20 concurrent refreshes with one token', async () => {
    const first = await createSignedInAccount(server);
    const responses = await concurrently(20, () => refreshSession(server, first.refresh_token));
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
    const { access, refresh } = await activeTokensOf(responses);
    expect([access.length, refresh.length]).toEqual([1, 1]);
    const [last] = responses.filter(({ json }) => json.refresh_token === refresh[0]);
    expect(last!.json.access_token).toBe(access[0]);
  });

  it('accepts one of 20 concurrent refreshes without a reuse interval, and is revoked', async () => {
    const first = await createSignedInAccount(server);
    const responses = await concurrently(20, () => refreshSession(strict, first.refresh_token));
    expect(responses.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(401)]);
    const { access, refresh } = await activeTokensOf(responses);
    expect([access, refresh]).toEqual([[], []]);
  });

  it('leaves no active token when it is revoked during a refresh', async () => {
    for (let round = 0; round < 10; round += 1) {
      const first = await createSignedInAccount(server);
      const revoke = () => server.core.sessions.revoke(sessionOf(first.access_token), 'revoked', systemMeta);
      const [responses] = await Promise.all([
        concurrently(5, () => refreshSession(server, first.refresh_token)),
        revoke(),
      ]);
      expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
      expect(await activeTokensOf(responses)).toMatchObject({ access: [], refresh: [] });
      expect(await statusOf(first.access_token)).toBe(401);
    }
  });

  it('is rejected by every process within a second of revocation, suspension or password change', async () => {
    const revocations: ((login: ApiSession & { accountId: string }) => Promise<unknown>)[] = [
      ({ access_token: token }) => callApi(server, 'POST', '/auth/logout', { token }),
      ({ accountId }) => revokeAllSessions(server, accountId, 'password_changed'),
      ({ accountId }) => suspendAccount(server, accountId),
      ({ accountId }) => changeAccount(server, accountId, { password: 'nine unrelated lanterns' }),
    ];
    for (const revoke of revocations) {
      const login = await createSignedInAccount(server);
      expect(await statusOf(login.access_token, secondServer)).toBe(200); // now the second server has cached it
      await revoke(login);
      expect(await statusOf(login.access_token)).toBe(401);
      await expect.poll(() => statusOf(login.access_token, secondServer), { timeout: 1000, interval: 50 }).toBe(401);
      for (const at of [server, secondServer]) expect((await refreshSession(at, login.refresh_token)).status).toBe(401);
    }
  });

  it('has different errors for expired and invalid tokens', async () => {
    const login = await createSignedInAccount(server);
    await later(8 * HOUR_MS + 1000, async () => {
      expect((await getMe(server, login.access_token)).json.error).toBe('expired_token');
      expect((await callApi(server, 'POST', '/auth/refresh', { token: login.access_token })).json.error).toBe(
        'expired_token',
      );
    });
    await later(7 * DAY_MS + 1000, async () => {
      expect((await refreshSession(server, login.refresh_token)).json.error).toBe('expired_token');
    });
    expect((await refreshSession(server, `${login.refresh_token}x`)).json.error).toBe('invalid_token');
  });

  it('is extended by use of either token, and expires after SESSION_MAX', async () => {
    let byBody = await createSignedInAccount(server);
    let byBearer = (await logIn(server, byBody.email)).access_token;
    for (let ms = 5 * HOUR_MS; ms < 30 * DAY_MS; ms += 7 * HOUR_MS) {
      await later(ms, async () => {
        const bearer = await callApi(server, 'POST', '/auth/refresh', { token: byBearer });
        expect(bearer.status).toBe(200);
        expect(bearer.json).not.toHaveProperty('refresh_token');
        byBearer = String(bearer.json.access_token);
        if (Math.floor(ms / HOUR_MS) % 6 !== 0) return;
        const body = await refreshSession(server, byBody.refresh_token);
        expect(body.status).toBe(200);
        byBody = { ...byBody, ...(body.json as unknown as ApiSession) };
      });
    }
    await later(30 * DAY_MS - HOUR_MS, async () => {
      const last = await callApi(server, 'POST', '/auth/refresh', { token: byBearer });
      expect(last.json.expires_in).toBeLessThanOrEqual(3600); // not beyond SESSION_MAX
    });
    await later(30 * DAY_MS + 1000, async () => {
      expect(await statusOf(byBearer)).toBe(401);
      expect((await refreshSession(server, byBody.refresh_token)).status).toBe(401);
    });
  });

  it('keeps consumed refresh tokens for a day', async () => {
    let { refresh_token: token, access_token: accessToken } = await createSignedInAccount(server);
    for (let n = 0; n < 20; n += 1) token = String((await refreshSession(server, token)).json.refresh_token);
    const { id: grantId } = await server.base.db.grant.findFirstOrThrow({
      where: { sessionId: sessionOf(accessToken) },
    });
    expect(await server.base.db.refreshToken.count({ where: { grantId } })).toBe(21);
    await later(DAY_MS + HOUR_MS, () => server.core.cleanup.sweepAll());
    expect(await server.base.db.refreshToken.count({ where: { grantId } })).toBe(1);
    expect((await refreshSession(server, token)).status).toBe(200);
  });

  it('has tokens that every OAuth endpoint rejects', async () => {
    const login = await createSignedInAccount(server);
    const client = await server.client();
    const post = (path: string, params: Record<string, string>) => postForm(server, path, params, { client });
    const refreshed = await post('/oauth/token', { grant_type: 'refresh_token', refresh_token: login.refresh_token });
    expect([refreshed.status, refreshed.json]).toMatchObject([400, { error: 'invalid_grant' }]);
    for (const token of [login.refresh_token, login.access_token]) {
      expect((await post('/oauth/introspect', { token })).json).toEqual({ active: false });
      expect((await post('/oauth/revoke', { token })).status).toBe(200);
      const userinfo = await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${token}` });
      expect(userinfo.status).toBe(401);
    }
    expect(await statusOf(login.access_token)).toBe(200);
    expect((await refreshSession(server, login.refresh_token)).status).toBe(200);
  });
});
