// Stored tokens of external providers: access, refresh and deletion.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Prisma } from '../../../src/base/db/open.js';
import { LEASE_SECONDS } from '../../../src/core/identities/token-vault.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { type ApiSession, createSignedInAccount, logIn } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import {
  type ExternalUser,
  type FakeProvider,
  json,
  newExternalUser,
  obtainProviderCode,
  openFakeProvider,
  SETTINGS,
  useFakeProvider,
} from '../../support/fake-providers.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

type Kind = FakeProvider['kind'];
const APP = 'https://app.example/callback';
const OFFLINE = { access_type: 'offline', prompt: 'consent', scope: 'openid profile email calendar' };
const HOUR_MS = 3_600_000;
const GITHUB_TOKEN = '/login/oauth/access_token';

describe.each(stores)('stored provider tokens on $name', (store) => {
  const external = {} as Record<Kind, FakeProvider>;
  /**
   * Three processes on one store: two that keep what GitHub and Google give, and one that keeps
   * nothing.
   */
  let server: TestServer;
  let twin: TestServer;
  let forgetful: TestServer;
  let aheadMs = 0;

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) external[kind] = await openFakeProvider(kind);
    const settings = { ...SETTINGS, FEDERATION_REDIRECT_URIS: APP };
    const keeping = { ...settings, FEDERATION_STORE_TOKENS: 'github, google' };
    const wrapBase = useFakeProvider(...Object.values(external));
    const clock = { now: () => new Date(Date.now() + aheadMs) };
    server = await startServer({ store, settings: keeping, wrapBase, clock });
    twin = await startServer({ sharedWith: server, settings: keeping, wrapBase, clock });
    forgetful = await startServer({ sharedWith: server, settings, wrapBase, clock });
  });
  afterEach(() => {
    for (const one of Object.values(external)) {
      one.reset();
    }
  });
  afterAll(async () => {
    await forgetful.close();
    await twin.close();
    await server.close();
    for (const one of Object.values(external)) await one.close();
  });

  const db = () => server.base.db;
  const last = (list: string[]) => list.at(-1)!;

  /** Signs a user in by a provider. */
  async function completeSignIn(
    kind: Kind,
    externalUser: ExternalUser,
    more: Record<string, string> = {},
    at = server,
  ) {
    const { otp, ...asked } = more;
    const code = await obtainProviderCode(external[kind], externalUser, APP, asked);
    const body = { code, redirect_uri: APP, ...(otp && { otp }) };
    const { status, json: answer } = await callApi(at, 'POST', `/auth/${kind}/callback`, { body });
    return { status, error: answer.error, ...(answer as unknown as ApiSession & { id: string }) };
  }

  /** Signs a new user in and returns the link. */
  async function newcomer(kind: Kind, more: Record<string, string> = {}, at = server) {
    const externalUser = newExternalUser();
    const { access_token: token, id: accountId } = await completeSignIn(kind, externalUser, more, at);
    const [link] = await server.core.links.list(accountId);
    return { externalUser, token, accountId, linkId: link!.id };
  }

  /** Signs in with GitHub, whose tokens expire and can be refreshed once. */
  async function renewable() {
    external.github.issuesExpiringTokens = true;
    const user = await newcomer('github');
    return { ...user, access: last(external.github.issued.access), refresh: last(external.github.issued.refresh) };
  }

  const read = (linkId: string, token: string, at = server) =>
    callApi(at, 'GET', `/auth/links/${linkId}/token`, { token });
  const rowOf = (identityId: string) => db().storedTokens.findUnique({ where: { identityId } });
  const linksOf = async (token: string, at = server) =>
    (await callApi(at, 'GET', '/auth/links', { token })).json as unknown as { keeps_token: boolean }[];

  /** Returns the whole database as text. */
  async function everything(): Promise<string> {
    const tables = Object.values(Prisma.ModelName).map((name) => name[0]!.toLowerCase() + name.slice(1));
    const all = db() as unknown as Record<string, { findMany(): Promise<unknown> }>;
    const rows = await Promise.all(tables.map((name) => all[name]!.findMany()));
    return JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  }

  /** Moves the clock by some hours and signs the user in again. */
  async function later<Answer>(hours: number, work: () => Promise<Answer>): Promise<Answer> {
    aheadMs = hours * HOUR_MS;
    try {
      return await work();
    } finally {
      aheadMs = 0;
    }
  }

  /** Returns a valid access token of the account. */
  async function tokenOf(accountId: string): Promise<string> {
    const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
    return (await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens.accessToken;
  }

  describe('are stored', () => {
    it('if the settings ask for it, and returned to their user without the refresh token', async () => {
      const { linkId, token } = await newcomer('google', OFFLINE);
      const answer = await read(linkId, token);
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual({
        access_token: last(external.google.issued.access),
        token_type: 'bearer',
        scope: 'openid profile email calendar',
        expires_at: expect.stringMatching(/Z$/),
      });
      const left = Date.parse(String(answer.json.expires_at)) - Date.now();
      expect(Math.abs(left - 3_599_000)).toBeLessThan(60_000);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(await linksOf(token)).toMatchObject([{ keeps_token: true }]);
    });

    it('sealed, and never in plain text in the database, the audit log or a log', async () => {
      const { linkId, token, accountId } = await renewable();
      await read(linkId, token);
      await later(9, async () => read(linkId, await tokenOf(accountId)));
      await server.core.audit.flush();
      const [store, log] = [await everything(), [...server.lines, ...twin.lines].join('\n')];
      expect(store).toContain(linkId);
      for (const { issued } of Object.values(external)) {
        for (const secret of [...issued.access, ...issued.refresh]) {
          expect(store).not.toContain(secret);
          expect(log).not.toContain(secret);
        }
      }
      const trail = await db().auditEvent.findMany({ where: { accountId, action: 'identity.token_accessed' } });
      expect(trail).toHaveLength(2);
      expect(trail[0]).toMatchObject({ detail: { issuer: external.github.issuer }, sessionId: expect.any(String) });
    });

    it('only for the providers that the settings name', async () => {
      const linkedin = await newcomer('linkedin');
      const github = await newcomer('github', {}, forgetful);
      for (const { linkId, token } of [linkedin, github]) {
        expect(await rowOf(linkId)).toBeNull();
        const { status, json: answer } = await read(linkId, token);
        expect([status, answer.error]).toEqual([404, 'not_found']);
        expect(await linksOf(token)).toMatchObject([{ keeps_token: false }]);
      }
    });

    it('when a user links the provider, also repeatedly', async () => {
      const { access_token: token } = await createSignedInAccount(server);
      const externalUser = newExternalUser();
      for (let n = 0; n < 2; n += 1) {
        const code = await obtainProviderCode(external.github, externalUser, APP);
        const body = { code, redirect_uri: APP };
        expect((await callApi(server, 'POST', '/auth/github/link', { token, body })).status).toBe(200);
        const [link] = (await callApi(server, 'GET', '/auth/links', { token })).json as unknown as { id: string }[];
        expect((await read(link!.id, token)).json).toMatchObject({
          access_token: last(external.github.issued.access),
          scope: 'read:user user:email',
          expires_at: null,
        });
      }
    });

    it('at each sign-in, and keep the refresh token until there is a new one', async () => {
      const { externalUser, linkId, token, accountId } = await newcomer('google', OFFLINE);
      const refresh = last(external.google.issued.refresh);
      await completeSignIn('google', externalUser);
      expect((await read(linkId, token)).json.access_token).toBe(last(external.google.issued.access));
      await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect(external.google.redeemed).toEqual([refresh]);
      await completeSignIn('google', externalUser, OFFLINE);
      await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect(external.google.redeemed).toEqual([refresh, last(external.google.issued.refresh)]);
      expect(last(external.google.redeemed)).not.toBe(refresh);
    });

    it('neither stored nor returned for a suspended account', async () => {
      const { externalUser, linkId, accountId } = await newcomer('github');
      const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
      const login = await server.core.sessions.open(account, ['pwd'], systemMeta);
      const before = await rowOf(linkId);
      await db().account.update({ where: { id: accountId }, data: { status: 'suspended' } });
      expect((await completeSignIn('github', externalUser)).error).toBe('account_suspended');
      expect(await rowOf(linkId)).toEqual(before);
      const asked = server.core.providerTokens.read({ account, amr: ['pwd'], ...login }, linkId, systemMeta);
      await expect(asked).rejects.toMatchObject({ status: 404 });
    });
  });

  describe('belong to one user', () => {
    it('and do not exist for other users', async () => {
      const { linkId, token } = await newcomer('github');
      const { access_token: other } = await createSignedInAccount(server);
      for (const [id, bearer] of [
        [linkId, other],
        ['unknown', token],
      ] as const) {
        const { status, json: answer } = await read(id, bearer);
        expect([status, answer.error, answer.error_description]).toEqual([
          404,
          'not_found',
          'This link does not exist.',
        ]);
      }
    });

    it('and cannot be opened from a row copied to another link', async () => {
      const [theirs, mine] = [await newcomer('github'), await newcomer('github')];
      const { identityId: _, ...row } = (await rowOf(theirs.linkId))!;
      await db().storedTokens.update({ where: { identityId: mine.linkId }, data: row });
      const { status, json: answer, text } = await read(mine.linkId, mine.token);
      expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
      expect(text).not.toContain('github-');
      await completeSignIn('github', mine.externalUser);
      expect((await read(mine.linkId, mine.token)).status, 'and is mended by a sign-in').toBe(200);
    });

    it('and cannot be opened if access and refresh token are swapped', async () => {
      const { linkId, accountId } = await renewable();
      const { sealedAccess, sealedRefresh } = (await rowOf(linkId))!;
      await db().storedTokens.update({ where: { identityId: linkId }, data: { sealedAccess: sealedRefresh! } });
      expect((await read(linkId, await tokenOf(accountId))).status).toBe(409);
      const swapped = { sealedAccess, sealedRefresh: sealedAccess };
      await db().storedTokens.update({ where: { identityId: linkId }, data: swapped });
      await later(9, async () => expect((await read(linkId, await tokenOf(accountId))).status).toBe(409));
      expect(external.github.redeemed).toEqual([]);
    });

    it('and can be read a limited number of times', async () => {
      const { linkId, token } = await newcomer('github');
      const all = await Promise.all(Array.from({ length: 125 }, () => read(linkId, token)));
      expect(all.map(({ status }) => status).filter((status) => status === 429)).toHaveLength(5);
      const rejected = all.find(({ status }) => status === 429)!;
      expect([rejected.json.error, Number(rejected.headers['retry-after']) > 0]).toEqual(['rate_limited', true]);
    });
  });

  describe('that are about to expire', () => {
    it('are refreshed once for concurrent callers in all processes', async () => {
      const { linkId, accountId, access, refresh } = await renewable();
      await later(9, async () => {
        const token = await tokenOf(accountId);
        const all = await Promise.all(Array.from({ length: 10 }, (_, n) => read(linkId, token, n % 2 ? server : twin)));
        expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200));
        const newest = last(external.github.issued.access);
        expect(new Set(all.map(({ json: answer }) => answer.access_token))).toEqual(new Set([newest]));
        expect(newest).not.toBe(access);
        expect(external.github.redeemed).toEqual([refresh]);
        expect((await read(linkId, token)).json.access_token, 'and then it is there').toBe(newest);
        expect(external.github.redeemed).toHaveLength(1);
      });
      await later(18, async () => {
        expect((await read(linkId, await tokenOf(accountId))).status, 'by the one that came with it').toBe(200);
        expect(external.github.redeemed).toEqual([refresh, external.github.issued.refresh.at(-2)]);
      });
    });

    it('keep refresh token and scope if the response has none', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const refresh = last(external.google.issued.refresh);
      for (const hours of [2, 4]) {
        await later(hours, async () => {
          const { json: answer } = await read(linkId, await tokenOf(accountId));
          expect(answer).toMatchObject({ access_token: last(external.google.issued.access), scope: OFFLINE.scope });
        });
      }
      expect(external.google.redeemed).toEqual([refresh, refresh]);
    });

    it('and cannot be refreshed are returned until they expire', async () => {
      const { linkId, token, externalUser, accountId } = await newcomer('google');
      expect((await later(0.99, () => read(linkId, token))).status).toBe(200);
      await later(2, async () => {
        const { status, json: answer } = await read(linkId, await tokenOf(accountId));
        expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
        expect(answer.error_description).toContain('Sign in with Google again');
        await completeSignIn('google', externalUser);
        expect((await read(linkId, await tokenOf(accountId))).status).toBe(200);
      });
      expect(external.google.redeemed).toEqual([]);
    });

    it.each(['github', 'google'] as const)(
      'are deleted when %s rejects their refresh token, also for concurrent callers',
      async (kind) => {
        external.github.issuesExpiringTokens = true;
        const { linkId, accountId, externalUser } = await newcomer(kind, OFFLINE);
        external[kind].overrides[kind === 'github' ? GITHUB_TOKEN : '/token'] = (res) =>
          kind === 'github'
            ? json(res, 200, { error: 'bad_refresh_token', error_description: 'No.' })
            : json(res, 400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' });
        await later(9, async () => {
          const token = await tokenOf(accountId);
          external[kind].requests.length = 0;
          const all = await Promise.all(
            Array.from({ length: 4 }, (_, n) => read(linkId, token, n % 2 ? server : twin)),
          );
          for (const { status, json: answer } of all)
            expect(
              [
                [409, 'provider_sign_in_required'],
                [404, 'not_found'], // who came a moment later
              ].map(String),
            ).toContain(String([status, answer.error]));
          expect(all.some(({ status }) => status === 409)).toBe(true);
          expect(external[kind].requests.filter(({ body }) => body.includes('refresh_token'))).toHaveLength(1);
          expect(await rowOf(linkId)).toBeNull();
          expect((await read(linkId, token)).json.error_description).toContain('again');
          const trail = await db().auditEvent.findMany({ where: { accountId, action: 'identity.token_discarded' } });
          expect(trail).toHaveLength(1);
          external[kind].overrides = {};
          await completeSignIn(kind, externalUser);
          expect((await read(linkId, token)).status).toBe(200);
        });
      },
    );

    it.each<[string, (res: Parameters<typeof json>[0]) => unknown, number, string]>([
      ['fails', (res) => json(res, 500, { refresh_token: 'github-r-odd' }), 503, 'upstream_unavailable'],
      ['hangs up', (res) => void res.destroy(), 503, 'upstream_unavailable'],
      [
        'answers nonsense',
        (res) => json(res, 200, { refresh_token: 'github-r-odd' }),
        502,
        'upstream_invalid_response',
      ],
      [
        'does not know us',
        (res) => json(res, 200, { error: 'incorrect_client_credentials' }),
        502,
        'upstream_invalid_response',
      ],
      [
        'does not understand us',
        (res) => json(res, 400, { error: 'invalid_request' }),
        502,
        'upstream_invalid_response',
      ],
    ])('stay when the provider %s, and are refreshed when it has recovered', async (_what, spoil, status, error) => {
      const { linkId, accountId, refresh } = await renewable();
      await later(9, async () => {
        const token = await tokenOf(accountId);
        external.github.overrides[GITHUB_TOKEN] = spoil;
        const answer = await read(linkId, token);
        expect([answer.status, answer.json.error]).toEqual([status, error]);
        external.github.overrides = {};
        expect((await read(linkId, token)).status).toBe(200);
        expect(external.github.redeemed).toEqual([refresh]);
      });
      expect(server.lines.join('\n')).not.toContain('github-r-odd');
    });

    it('are returned until they expire while the provider fails', async () => {
      const { linkId, accountId, access } = await renewable();
      external.github.overrides[GITHUB_TOKEN] = (res) => json(res, 500, {});
      const answer = await later(8 - 30 / 3600, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.access_token]).toEqual([200, access]);
    });

    it('are refreshed even if the keys of the provider cannot be fetched', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      external.google.overrides['/keys'] = (res) => json(res, 500, {});
      external.google.tokenResponse = { refresh_token: 'google-r-next' };
      await later(50, async () => expect((await read(linkId, await tokenOf(accountId))).status).toBe(200));
      await later(52, async () => read(linkId, await tokenOf(accountId)));
      expect(last(external.google.redeemed)).toBe('google-r-next');
    });

    it.each<[string, object]>([
      ['for another app', { aud: 'app-2' }],
      ['of another issuer', { iss: 'https://evil.example' }],
    ])('are not accepted with an ID token %s', async (_what, claims) => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      external.google.claims = { ...claims };
      const answer = await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.error]).toEqual([502, 'upstream_invalid_response']);
    });

    it('are not accepted for another user', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      external.google.claims = { sub: 'another-user' };
      const answer = await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.error]).toEqual([502, 'upstream_invalid_response']);
    });

    it('are refreshed by the next caller some seconds after a crash', async () => {
      const { linkId, accountId, refresh } = await renewable();
      await later(9, async () => {
        const row = (await rowOf(linkId))!;
        expect(await server.core.tokenVault.lease(row, refresh)).toBeDefined(); // and its process is gone
        expect(await twin.core.tokenVault.lease(row, refresh), 'no second lease').toBeUndefined();
        aheadMs += (LEASE_SECONDS + 1) * 1000;
        expect((await read(linkId, await tokenOf(accountId), twin)).status).toBe(200);
        expect(external.github.redeemed).toEqual([refresh]);
      });
    });

    it('are replaced by a concurrent sign-in', async () => {
      const { linkId, accountId, externalUser, refresh } = await renewable();
      await later(9, async () => {
        const lease = (await server.core.tokenVault.lease((await rowOf(linkId))!, refresh))!;
        await completeSignIn('github', externalUser);
        const newest = last(external.github.issued.access);
        const late = { accessToken: 'late', refreshToken: undefined, tokenType: 'bearer', scope: undefined };
        expect(await server.core.tokenVault.renew(lease, { ...late, expiresAt: undefined })).toBe(false);
        expect(await server.core.tokenVault.discard(lease, db())).toBe(false);
        expect((await read(linkId, await tokenOf(accountId))).json.access_token).toBe(newest);
      });
    });
  });

  describe('are deleted', () => {
    it('with the link and revoked at the provider', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const token = await tokenOf(accountId);
      const refresh = last(external.google.issued.refresh);
      await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
      expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
      expect(await rowOf(linkId)).toBeNull();
      expect((await read(linkId, token)).status).toBe(404);
      await server.core.waitUntilIdle();
      expect(external.google.revoked).toEqual([refresh]);
    });

    it('with a link that is removed during a refresh, whose result is revoked too', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const google = external.google;
      await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
      await later(2, async () => {
        const token = await tokenOf(accountId);
        google.overrides['/token'] = async (res) => {
          expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
          await server.core.waitUntilIdle();
          google.revoked = [];
          json(res, 200, { access_token: 'google-late', refresh_token: 'google-r-late', token_type: 'bearer' });
        };
        expect((await read(linkId, token)).json.error).toBe('provider_sign_in_required');
      });
      await server.core.waitUntilIdle();
      expect(await rowOf(linkId)).toBeNull();
      expect(google.revoked).toEqual(['google-r-late']);
    });

    it('with the link even if the provider does not respond', async () => {
      for (const [kind, path] of [
        ['google', '/revoke'],
        ['github', ''],
      ] as const) {
        const { linkId, accountId } = await newcomer(kind, OFFLINE);
        external[kind].overrides[path] = (res) => json(res, 500, { token: 'x' });
        await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
        const token = await tokenOf(accountId);
        expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
        await server.core.waitUntilIdle();
        expect(await rowOf(linkId)).toBeNull();
      }
    });

    it('with the account and revoked at each provider', async () => {
      const { linkId, accountId, token } = await newcomer('google', OFFLINE);
      const code = await obtainProviderCode(external.github, newExternalUser(), APP);
      await callApi(server, 'POST', '/auth/github/link', { token, body: { code, redirect_uri: APP } });
      const refresh = last(external.google.issued.refresh);
      const admin = await server.account();
      await db().account.update({ where: { id: admin.id }, data: { role: 'admin' } });
      await server.core.adminUsers.remove(accountId, admin, systemMeta);
      expect(await rowOf(linkId)).toBeNull();
      await server.core.waitUntilIdle();
      expect(external.google.revoked).toEqual([refresh]);
    });

    it('with everything that was attached to an unverified address', async () => {
      const { linkId, accountId } = await newcomer('github');
      await db().$transaction((tx) => server.core.identities.removeAllFor(accountId, tx));
      expect(await rowOf(linkId)).toBeNull();
    });

    it('by the next cleanup, and hidden at once, when the settings no longer name the provider', async () => {
      const { linkId, token, accountId } = await newcomer('github');
      expect((await read(linkId, token, forgetful)).status).toBe(404);
      expect(await linksOf(token, forgetful)).toMatchObject([{ keeps_token: false }]);
      await server.core.cleanup.sweepAll();
      expect((await read(linkId, token)).status, 'who keeps them sweeps none').toBe(200);
      await forgetful.core.cleanup.sweepAll();
      expect(await rowOf(linkId)).toBeNull();
      expect(await server.core.links.list(accountId)).toMatchObject([{ id: linkId, keepsToken: false }]);
    });

    it('when they have expired and cannot be refreshed', async () => {
      const [once, again] = [await newcomer('google'), await newcomer('google', OFFLINE)];
      await later(2, () => server.core.cleanup.sweepAll());
      expect([await rowOf(once.linkId), await rowOf(again.linkId)]).toEqual([null, expect.anything()]);
    });
  });

  it('are stored before the second factor, which is still required', async () => {
    const { externalUser, linkId, accountId } = await newcomer('github');
    const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
    const { app } = await enrol(server, new Date(), account);
    expect((await completeSignIn('github', externalUser)).error).toBe('mfa_required');
    const token = (await completeSignIn('github', externalUser, { otp: app.code(new Date(), 1) })).access_token;
    expect((await read(linkId, token)).json.access_token).toBe(last(external.github.issued.access));
  });

  it('can be opened after a rotation of the master secret', async () => {
    const { linkId, accountId, externalUser } = await newcomer('github');
    const NEXT = 'the next master secret, of 32 characters';
    const settings = { ...SETTINGS, FEDERATION_STORE_TOKENS: 'github', FEDERATION_REDIRECT_URIS: APP, SECRET: NEXT };
    const wrapBase = useFakeProvider(...Object.values(external));
    const turned = await startServer({
      sharedWith: server,
      settings: { ...settings, SECRET_PREVIOUS: server.config.secret! },
      wrapBase,
    });
    try {
      const token = await tokenOf(accountId);
      expect((await read(linkId, token, turned)).status).toBe(200);
      expect((await completeSignIn('github', externalUser, {}, turned)).status).toBe(200);
      const { status, json: answer } = await read(linkId, token); // who knows the old one only
      expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
    } finally {
      await turned.close();
    }
  });

  it('can be read in a session that was started with a password', async () => {
    const { access_token, email, accountId } = await createSignedInAccount(server);
    const code = await obtainProviderCode(external.github, newExternalUser(), APP);
    await callApi(server, 'POST', '/auth/github/link', { token: access_token, body: { code, redirect_uri: APP } });
    const [link] = await server.core.links.list(accountId);
    const { access_token: token } = await logIn(server, email);
    await db().session.updateMany({ where: { accountId }, data: { authTime: new Date(0) } });
    expect((await read(link!.id, token)).status).toBe(200);
  });
});
