// The refresh of stored provider tokens that are about to expire.
import { beforeAll, describe, expect, it } from 'vitest';
import { LEASE_SECONDS } from '../../../src/core/identities/token-vault.js';
import { json as respondJson } from '../../support/fake-providers.js';
import type { TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { HOUR_MS, last, OFFLINE, useProviderTokens } from './provider-token-setup.js';

const GITHUB_TOKEN = '/login/oauth/access_token';

describe.each(stores)('a provider token that is about to expire on $name', (store) => {
  const setup = useProviderTokens(store);
  const { external, later, signIn, signInNewUser, signInForRefresh, read, rowOf, issueToken } = setup;
  let server: TestServer;
  let secondServer: TestServer;
  beforeAll(() => {
    ({ server, secondServer } = setup.servers);
  });

  it('is refreshed once for concurrent callers in all processes', async () => {
    const { linkId, accountId, access, refresh } = await signInForRefresh();
    await later(9 * HOUR_MS, async () => {
      const token = await issueToken(accountId);
      const responses = await Promise.all(
        Array.from({ length: 10 }, (_, n) => read(linkId, token, n % 2 ? server : secondServer)),
      );
      expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200));
      const newest = last(external.github.issued.access);
      expect(new Set(responses.map(({ json }) => json.access_token))).toEqual(new Set([newest]));
      expect(newest).not.toBe(access);
      expect(external.github.redeemed).toEqual([refresh]);
      expect((await read(linkId, token)).json.access_token, 'the new token is stored').toBe(newest);
      expect(external.github.redeemed).toHaveLength(1);
    });
    await later(18 * HOUR_MS, async () => {
      expect((await read(linkId, await issueToken(accountId))).status, 'with the refresh token that came with it').toBe(
        200,
      );
      expect(external.github.redeemed).toEqual([refresh, external.github.issued.refresh.at(-2)]);
    });
  });

  it('keeps its refresh token and scope if the response has none', async () => {
    const { linkId, accountId } = await signInNewUser('google', OFFLINE);
    const refresh = last(external.google.issued.refresh);
    for (const hours of [2, 4]) {
      await later(hours * HOUR_MS, async () => {
        const { json } = await read(linkId, await issueToken(accountId));
        expect(json).toMatchObject({ access_token: last(external.google.issued.access), scope: OFFLINE.scope });
      });
    }
    expect(external.google.redeemed).toEqual([refresh, refresh]);
  });

  it('is returned until it expires if it cannot be refreshed', async () => {
    const { linkId, token, externalUser, accountId } = await signInNewUser('google');
    expect((await later(0.99 * HOUR_MS, () => read(linkId, token))).status).toBe(200);
    await later(2 * HOUR_MS, async () => {
      const { status, json } = await read(linkId, await issueToken(accountId));
      expect([status, json.error]).toEqual([409, 'provider_sign_in_required']);
      expect(json.error_description).toContain('Sign in with Google again');
      await signIn('google', externalUser);
      expect((await read(linkId, await issueToken(accountId))).status).toBe(200);
    });
    expect(external.google.redeemed).toEqual([]);
  });

  it.each(['github', 'google'] as const)(
    'is deleted when %s rejects its refresh token, also for concurrent callers',
    async (kind) => {
      external.github.issuesExpiringTokens = true;
      const { linkId, accountId, externalUser } = await signInNewUser(kind, OFFLINE);
      external[kind].overrides[kind === 'github' ? GITHUB_TOKEN : '/token'] = (res) =>
        kind === 'github'
          ? respondJson(res, 200, { error: 'bad_refresh_token', error_description: 'Expired.' })
          : respondJson(res, 400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' });
      await later(9 * HOUR_MS, async () => {
        const token = await issueToken(accountId);
        external[kind].requests.length = 0;
        const responses = await Promise.all(
          Array.from({ length: 4 }, (_, n) => read(linkId, token, n % 2 ? server : secondServer)),
        );
        for (const { status, json } of responses)
          expect(
            [
              [409, 'provider_sign_in_required'],
              [404, 'not_found'], // after the deletion
            ].map(String),
          ).toContain(String([status, json.error]));
        expect(responses.some(({ status }) => status === 409)).toBe(true);
        expect(external[kind].requests.filter(({ body }) => body.includes('refresh_token'))).toHaveLength(1);
        expect(await rowOf(linkId)).toBeNull();
        expect((await read(linkId, token)).json.error_description).toContain('again');
        const events = await server.base.db.auditEvent.findMany({
          where: { accountId, action: 'identity.token_discarded' },
        });
        expect(events).toHaveLength(1);
        external[kind].overrides = {};
        await signIn(kind, externalUser);
        expect((await read(linkId, token)).status).toBe(200);
      });
    },
  );

  it.each<[string, (res: Parameters<typeof respondJson>[0]) => unknown, number, string]>([
    ['fails', (res) => respondJson(res, 500, { refresh_token: 'github-r-unexpected' }), 503, 'upstream_unavailable'],
    ['closes the connection', (res) => void res.destroy(), 503, 'upstream_unavailable'],
    [
      'returns no access token',
      (res) => respondJson(res, 200, { refresh_token: 'github-r-unexpected' }),
      502,
      'upstream_invalid_response',
    ],
    [
      'rejects our client credentials',
      (res) => respondJson(res, 200, { error: 'incorrect_client_credentials' }),
      502,
      'upstream_invalid_response',
    ],
    [
      'rejects the request',
      (res) => respondJson(res, 400, { error: 'invalid_request' }),
      502,
      'upstream_invalid_response',
    ],
  ])(
    'is kept when the provider %s, and is refreshed when the provider has recovered',
    async (_failure, respond, status, error) => {
      const { linkId, accountId, refresh } = await signInForRefresh();
      await later(9 * HOUR_MS, async () => {
        const token = await issueToken(accountId);
        external.github.overrides[GITHUB_TOKEN] = respond;
        const response = await read(linkId, token);
        expect([response.status, response.json.error]).toEqual([status, error]);
        external.github.overrides = {};
        expect((await read(linkId, token)).status).toBe(200);
        expect(external.github.redeemed).toEqual([refresh]);
      });
      expect(server.lines.join('\n')).not.toContain('github-r-unexpected');
    },
  );

  it('is returned until it expires while the provider fails', async () => {
    const { linkId, accountId, access } = await signInForRefresh();
    external.github.overrides[GITHUB_TOKEN] = (res) => respondJson(res, 500, {});
    const response = await later((8 - 30 / 3600) * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
    expect([response.status, response.json.access_token]).toEqual([200, access]);
  });

  it('is refreshed even if the keys of the provider cannot be fetched', async () => {
    const { linkId, accountId } = await signInNewUser('google', OFFLINE);
    external.google.overrides['/keys'] = (res) => respondJson(res, 500, {});
    external.google.tokenResponse = { refresh_token: 'google-r-next' };
    await later(50 * HOUR_MS, async () => expect((await read(linkId, await issueToken(accountId))).status).toBe(200));
    await later(52 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
    expect(last(external.google.redeemed)).toBe('google-r-next');
  });

  it.each<[string, object]>([
    ['for another app', { aud: 'app-2' }],
    ['of another issuer', { iss: 'https://evil.example' }],
  ])('is not replaced by one with an ID token %s', async (_what, claims) => {
    const { linkId, accountId } = await signInNewUser('google', OFFLINE);
    external.google.claims = { ...claims };
    const response = await later(2 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
    expect([response.status, response.json.error]).toEqual([502, 'upstream_invalid_response']);
  });

  it('is not replaced by one of another user', async () => {
    const { linkId, accountId } = await signInNewUser('google', OFFLINE);
    external.google.claims = { sub: 'another-user' };
    const response = await later(2 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
    expect([response.status, response.json.error]).toEqual([502, 'upstream_invalid_response']);
  });

  it('is refreshed by another process some seconds after a crash', async () => {
    const { linkId, accountId, refresh } = await signInForRefresh();
    await later(9 * HOUR_MS, async () => {
      const row = (await rowOf(linkId))!;
      expect(await server.core.tokenVault.lease(row, refresh)).toBeDefined(); // by a process that then crashes
      expect(await secondServer.core.tokenVault.lease(row, refresh), 'no second lease').toBeUndefined();
      await later((LEASE_SECONDS + 1) * 1000, async () => {
        expect((await read(linkId, await issueToken(accountId), secondServer)).status).toBe(200);
      });
      expect(external.github.redeemed).toEqual([refresh]);
    });
  });

  it('is replaced by a concurrent sign-in', async () => {
    const { linkId, accountId, externalUser, refresh } = await signInForRefresh();
    await later(9 * HOUR_MS, async () => {
      const lease = (await server.core.tokenVault.lease((await rowOf(linkId))!, refresh))!;
      await signIn('github', externalUser);
      const newest = last(external.github.issued.access);
      const late = { accessToken: 'late', refreshToken: undefined, tokenType: 'bearer', scope: undefined };
      expect(await server.core.tokenVault.renew(lease, { ...late, expiresAt: undefined })).toBe(false);
      expect(await server.core.tokenVault.discard(lease, server.base.db)).toBe(false);
      expect((await read(linkId, await issueToken(accountId))).json.access_token).toBe(newest);
    });
  });
});
