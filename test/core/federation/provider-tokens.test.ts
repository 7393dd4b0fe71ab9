// What providers elsewhere hand out, where the keeper asked that it be kept: for whom it can be
// read, who renews it, and when it goes.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Prisma } from '../../../src/base/db/open.js';
import { LEASE_SECONDS } from '../../../src/core/identities/token-vault.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { type ApiLogin, call, logIn, newLogin } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import {
  codeFor,
  type Elsewhere,
  json,
  newPerson,
  openElsewhere,
  type PersonElsewhere,
  pointTo,
  SETTINGS,
} from '../../support/fake-providers.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

type Kind = Elsewhere['kind'];
const APP = 'https://app.example/callback';
const OFFLINE = { access_type: 'offline', prompt: 'consent', scope: 'openid profile email calendar' };
const HOUR_MS = 3_600_000;
const GITHUB_TOKEN = '/login/oauth/access_token';

describe.each(stores)('the tokens of a provider elsewhere, on $name', (store) => {
  const elsewhere = {} as Record<Kind, Elsewhere>;
  /**
   * Three processes on one store: two that keep what GitHub and Google give, and one that keeps
   * nothing.
   */
  let server: TestServer;
  let twin: TestServer;
  let forgetful: TestServer;
  let aheadMs = 0;

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) elsewhere[kind] = await openElsewhere(kind);
    const settings = { ...SETTINGS, FEDERATION_REDIRECT_URIS: APP };
    const keeping = { ...settings, FEDERATION_STORE_TOKENS: 'github, google' };
    const around = pointTo(...Object.values(elsewhere));
    const clock = { now: () => new Date(Date.now() + aheadMs) };
    server = await startServer({ store, settings: keeping, around, clock });
    twin = await startServer({ beside: server, settings: keeping, around, clock });
    forgetful = await startServer({ beside: server, settings, around, clock });
  });
  afterEach(() => {
    for (const one of Object.values(elsewhere)) {
      Object.assign(one, { spoil: {}, claims: {}, answers: {}, expires: false, asked: [], spent: [], forgotten: [] });
    }
  });
  afterAll(async () => {
    await forgetful.close();
    await twin.close();
    await server.close();
    for (const one of Object.values(elsewhere)) await one.close();
  });

  const db = () => server.base.db;
  const last = (list: string[]) => list.at(-1)!;

  /** Somebody comes by a provider. */
  async function completeSignIn(kind: Kind, person: PersonElsewhere, more: Record<string, string> = {}, at = server) {
    const { otp, ...asked } = more;
    const code = await codeFor(elsewhere[kind], person, APP, asked);
    const body = { code, redirect_uri: APP, ...(otp && { otp }) };
    const { status, json: answer } = await call(at, 'POST', `/auth/${kind}/callback`, { body });
    return { status, error: answer.error, ...(answer as unknown as ApiLogin & { id: string }) };
  }

  /** Somebody who came for the first time, and their link. */
  async function newcomer(kind: Kind, more: Record<string, string> = {}, at = server) {
    const person = newPerson();
    const { access_token: token, id: accountId } = await completeSignIn(kind, person, more, at);
    const [link] = await server.core.links.list(accountId);
    return { person, token, accountId, linkId: link!.id };
  }

  /** Of GitHub, whose tokens expire and can be renewed once. */
  async function renewable() {
    elsewhere.github.expires = true;
    const somebody = await newcomer('github');
    return { ...somebody, access: last(elsewhere.github.given.access), refresh: last(elsewhere.github.given.refresh) };
  }

  const read = (linkId: string, token: string, at = server) =>
    call(at, 'GET', `/auth/links/${linkId}/token`, { token });
  const rowOf = (identityId: string) => db().storedTokens.findUnique({ where: { identityId } });
  const linksOf = async (token: string, at = server) =>
    (await call(at, 'GET', '/auth/links', { token })).json as unknown as { keeps_token: boolean }[];

  /** Everything in the store, as text. */
  async function everything(): Promise<string> {
    const tables = Object.values(Prisma.ModelName).map((name) => name[0]!.toLowerCase() + name.slice(1));
    const all = db() as unknown as Record<string, { findMany(): Promise<unknown> }>;
    const rows = await Promise.all(tables.map((name) => all[name]!.findMany()));
    return JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  }

  /** After so many hours, for somebody who signs in again here. */
  async function later<Answer>(hours: number, work: () => Promise<Answer>): Promise<Answer> {
    aheadMs = hours * HOUR_MS;
    try {
      return await work();
    } finally {
      aheadMs = 0;
    }
  }

  /** A login of somebody, as it is good now. */
  async function tokenOf(accountId: string): Promise<string> {
    const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
    return (await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens.accessToken;
  }

  describe('are kept', () => {
    it('where the keeper asked for it, and told to their person, but never the refresh token', async () => {
      const { linkId, token } = await newcomer('google', OFFLINE);
      const answer = await read(linkId, token);
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual({
        access_token: last(elsewhere.google.given.access),
        token_type: 'bearer',
        scope: 'openid profile email calendar',
        expires_at: expect.stringMatching(/Z$/),
      });
      const left = Date.parse(String(answer.json.expires_at)) - Date.now();
      expect(Math.abs(left - 3_599_000)).toBeLessThan(60_000);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(await linksOf(token)).toMatchObject([{ keeps_token: true }]);
    });

    it('sealed: not one of them is in the store, the trail or a log as it is', async () => {
      const { linkId, token, accountId } = await renewable();
      await read(linkId, token);
      await later(9, async () => read(linkId, await tokenOf(accountId)));
      await server.core.audit.flush();
      const [store, log] = [await everything(), [...server.lines, ...twin.lines].join('\n')];
      expect(store).toContain(linkId);
      for (const { given } of Object.values(elsewhere)) {
        for (const secret of [...given.access, ...given.refresh]) {
          expect(store).not.toContain(secret);
          expect(log).not.toContain(secret);
        }
      }
      const trail = await db().auditEvent.findMany({ where: { accountId, action: 'identity.token_accessed' } });
      expect(trail).toHaveLength(2);
      expect(trail[0]).toMatchObject({ detail: { issuer: elsewhere.github.issuer }, sessionId: expect.any(String) });
    });

    it('not of a provider that the keeper did not name, nor by a process whose keeper named none', async () => {
      const linkedin = await newcomer('linkedin');
      const github = await newcomer('github', {}, forgetful);
      for (const { linkId, token } of [linkedin, github]) {
        expect(await rowOf(linkId)).toBeNull();
        const { status, json: answer } = await read(linkId, token);
        expect([status, answer.error]).toEqual([404, 'not_found']);
        expect(await linksOf(token)).toMatchObject([{ keeps_token: false }]);
      }
    });

    it('of somebody who links the provider to an account, and once more', async () => {
      const { access_token: token } = await newLogin(server);
      const person = newPerson();
      for (let n = 0; n < 2; n += 1) {
        const code = await codeFor(elsewhere.github, person, APP);
        const body = { code, redirect_uri: APP };
        expect((await call(server, 'POST', '/auth/github/link', { token, body })).status).toBe(200);
        const [link] = (await call(server, 'GET', '/auth/links', { token })).json as unknown as { id: string }[];
        expect((await read(link!.id, token)).json).toMatchObject({
          access_token: last(elsewhere.github.given.access),
          scope: 'read:user user:email',
          expires_at: null,
        });
      }
    });

    it('anew at each sign-in; a refresh token stays until another one comes', async () => {
      const { person, linkId, token, accountId } = await newcomer('google', OFFLINE);
      const refresh = last(elsewhere.google.given.refresh);
      await completeSignIn('google', person);
      expect((await read(linkId, token)).json.access_token).toBe(last(elsewhere.google.given.access));
      await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect(elsewhere.google.spent).toEqual([refresh]);
      await completeSignIn('google', person, OFFLINE);
      await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect(elsewhere.google.spent).toEqual([refresh, last(elsewhere.google.given.refresh)]);
      expect(last(elsewhere.google.spent)).not.toBe(refresh);
    });

    it('not of somebody whose account is suspended, nor told to them', async () => {
      const { person, linkId, accountId } = await newcomer('github');
      const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
      const login = await server.core.sessions.open(account, ['pwd'], systemMeta);
      const before = await rowOf(linkId);
      await db().account.update({ where: { id: accountId }, data: { status: 'suspended' } });
      expect((await completeSignIn('github', person)).error).toBe('account_suspended');
      expect(await rowOf(linkId)).toEqual(before);
      const asked = server.core.providerTokens.read({ account, amr: ['pwd'], ...login }, linkId, systemMeta);
      await expect(asked).rejects.toMatchObject({ status: 404 });
    });
  });

  describe('are for their person alone', () => {
    it('and look like nothing to anybody else', async () => {
      const { linkId, token } = await newcomer('github');
      const { access_token: other } = await newLogin(server);
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

    it('also when somebody copies the row to a link of their own', async () => {
      const [theirs, mine] = [await newcomer('github'), await newcomer('github')];
      const { identityId: _, ...row } = (await rowOf(theirs.linkId))!;
      await db().storedTokens.update({ where: { identityId: mine.linkId }, data: row });
      const { status, json: answer, text } = await read(mine.linkId, mine.token);
      expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
      expect(text).not.toContain('github-');
      await completeSignIn('github', mine.person);
      expect((await read(mine.linkId, mine.token)).status, 'and is mended by a sign-in').toBe(200);
    });

    it('nor is one of the two put in the place of the other', async () => {
      const { linkId, accountId } = await renewable();
      const { sealedAccess, sealedRefresh } = (await rowOf(linkId))!;
      await db().storedTokens.update({ where: { identityId: linkId }, data: { sealedAccess: sealedRefresh! } });
      expect((await read(linkId, await tokenOf(accountId))).status).toBe(409);
      const swapped = { sealedAccess, sealedRefresh: sealedAccess };
      await db().storedTokens.update({ where: { identityId: linkId }, data: swapped });
      await later(9, async () => expect((await read(linkId, await tokenOf(accountId))).status).toBe(409));
      expect(elsewhere.github.spent).toEqual([]);
    });

    it('and are read no more than so often', async () => {
      const { linkId, token } = await newcomer('github');
      const all = await Promise.all(Array.from({ length: 125 }, () => read(linkId, token)));
      expect(all.map(({ status }) => status).filter((status) => status === 429)).toHaveLength(5);
      const refused = all.find(({ status }) => status === 429)!;
      expect([refused.json.error, Number(refused.headers['retry-after']) > 0]).toEqual(['rate_limited', true]);
    });
  });

  describe('that are about to expire', () => {
    it('are renewed before they are told, and by one of many who ask at once, in any process', async () => {
      const { linkId, accountId, access, refresh } = await renewable();
      await later(9, async () => {
        const token = await tokenOf(accountId);
        const all = await Promise.all(Array.from({ length: 10 }, (_, n) => read(linkId, token, n % 2 ? server : twin)));
        expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200));
        const newest = last(elsewhere.github.given.access);
        expect(new Set(all.map(({ json: answer }) => answer.access_token))).toEqual(new Set([newest]));
        expect(newest).not.toBe(access);
        expect(elsewhere.github.spent).toEqual([refresh]);
        expect((await read(linkId, token)).json.access_token, 'and then it is there').toBe(newest);
        expect(elsewhere.github.spent).toHaveLength(1);
      });
      await later(18, async () => {
        expect((await read(linkId, await tokenOf(accountId))).status, 'by the one that came with it').toBe(200);
        expect(elsewhere.github.spent).toEqual([refresh, elsewhere.github.given.refresh.at(-2)]);
      });
    });

    it('keep their refresh token and scope where the answer is silent about them', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const refresh = last(elsewhere.google.given.refresh);
      for (const hours of [2, 4]) {
        await later(hours, async () => {
          const { json: answer } = await read(linkId, await tokenOf(accountId));
          expect(answer).toMatchObject({ access_token: last(elsewhere.google.given.access), scope: OFFLINE.scope });
        });
      }
      expect(elsewhere.google.spent).toEqual([refresh, refresh]);
    });

    it('and cannot be renewed are told while they last, and then no more', async () => {
      const { linkId, token, person, accountId } = await newcomer('google');
      expect((await later(0.99, () => read(linkId, token))).status).toBe(200);
      await later(2, async () => {
        const { status, json: answer } = await read(linkId, await tokenOf(accountId));
        expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
        expect(answer.error_description).toContain('Sign in with Google again');
        await completeSignIn('google', person);
        expect((await read(linkId, await tokenOf(accountId))).status).toBe(200);
      });
      expect(elsewhere.google.spent).toEqual([]);
    });

    it.each(['github', 'google'] as const)(
      'are forgotten once %s takes their refresh token no more, also of many who ask at once',
      async (kind) => {
        elsewhere.github.expires = true;
        const { linkId, accountId, person } = await newcomer(kind, OFFLINE);
        elsewhere[kind].spoil[kind === 'github' ? GITHUB_TOKEN : '/token'] = (res) =>
          kind === 'github'
            ? json(res, 200, { error: 'bad_refresh_token', error_description: 'No.' })
            : json(res, 400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' });
        await later(9, async () => {
          const token = await tokenOf(accountId);
          elsewhere[kind].asked.length = 0;
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
          expect(elsewhere[kind].asked.filter(({ body }) => body.includes('refresh_token'))).toHaveLength(1);
          expect(await rowOf(linkId)).toBeNull();
          expect((await read(linkId, token)).json.error_description).toContain('again');
          const trail = await db().auditEvent.findMany({ where: { accountId, action: 'identity.token_discarded' } });
          expect(trail).toHaveLength(1);
          elsewhere[kind].spoil = {};
          await completeSignIn(kind, person);
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
    ])('stay when the provider %s, and are renewed as soon as it is well', async (_what, spoil, status, error) => {
      const { linkId, accountId, refresh } = await renewable();
      await later(9, async () => {
        const token = await tokenOf(accountId);
        elsewhere.github.spoil[GITHUB_TOKEN] = spoil;
        const answer = await read(linkId, token);
        expect([answer.status, answer.json.error]).toEqual([status, error]);
        elsewhere.github.spoil = {};
        expect((await read(linkId, token)).status).toBe(200);
        expect(elsewhere.github.spent).toEqual([refresh]);
      });
      expect(server.lines.join('\n')).not.toContain('github-r-odd');
    });

    it('are told for their last seconds while the provider fails', async () => {
      const { linkId, accountId, access } = await renewable();
      elsewhere.github.spoil[GITHUB_TOKEN] = (res) => json(res, 500, {});
      const answer = await later(8 - 30 / 3600, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.access_token]).toEqual([200, access]);
    });

    it('are renewed also while the keys of the provider cannot be had: what it gave could not be got once more', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      elsewhere.google.spoil['/keys'] = (res) => json(res, 500, {});
      elsewhere.google.answers = { refresh_token: 'google-r-next' };
      await later(50, async () => expect((await read(linkId, await tokenOf(accountId))).status).toBe(200));
      await later(52, async () => read(linkId, await tokenOf(accountId)));
      expect(last(elsewhere.google.spent)).toBe('google-r-next');
    });

    it.each<[string, object]>([
      ['for another app', { aud: 'app-2' }],
      ['of another issuer', { iss: 'https://evil.example' }],
    ])('are not taken from an answer with an ID token %s', async (_what, claims) => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      elsewhere.google.claims = { ...claims };
      const answer = await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.error]).toEqual([502, 'upstream_invalid_response']);
    });

    it('are not taken from an answer about somebody else', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      elsewhere.google.claims = { sub: 'somebody-else' };
      const answer = await later(2, async () => read(linkId, await tokenOf(accountId)));
      expect([answer.status, answer.json.error]).toEqual([502, 'upstream_invalid_response']);
    });

    it('are renewed by the next one after a crash in the middle, some seconds later', async () => {
      const { linkId, accountId, refresh } = await renewable();
      await later(9, async () => {
        const row = (await rowOf(linkId))!;
        expect(await server.core.tokenVault.lease(row, refresh)).toBeDefined(); // and its process is gone
        expect(await twin.core.tokenVault.lease(row, refresh), 'nobody else meanwhile').toBeUndefined();
        aheadMs += (LEASE_SECONDS + 1) * 1000;
        expect((await read(linkId, await tokenOf(accountId), twin)).status).toBe(200);
        expect(elsewhere.github.spent).toEqual([refresh]);
      });
    });

    it('give way to a sign-in that comes meanwhile', async () => {
      const { linkId, accountId, person, refresh } = await renewable();
      await later(9, async () => {
        const lease = (await server.core.tokenVault.lease((await rowOf(linkId))!, refresh))!;
        await completeSignIn('github', person);
        const newest = last(elsewhere.github.given.access);
        const late = { accessToken: 'late', refreshToken: undefined, tokenType: 'bearer', scope: undefined };
        expect(await server.core.tokenVault.renew(lease, { ...late, expiresAt: undefined })).toBe(false);
        expect(await server.core.tokenVault.discard(lease, db())).toBe(false);
        expect((await read(linkId, await tokenOf(accountId))).json.access_token).toBe(newest);
      });
    });
  });

  describe('go', () => {
    it('with the link, and the provider is asked to forget them', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const token = await tokenOf(accountId);
      const refresh = last(elsewhere.google.given.refresh);
      await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
      expect((await call(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
      expect(await rowOf(linkId)).toBeNull();
      expect((await read(linkId, token)).status).toBe(404);
      await server.core.settle();
      expect(elsewhere.google.forgotten).toEqual([refresh]);
    });

    it('with the link also when it is removed in the middle of a renewal: what that brought is given back too', async () => {
      const { linkId, accountId } = await newcomer('google', OFFLINE);
      const google = elsewhere.google;
      await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
      await later(2, async () => {
        const token = await tokenOf(accountId);
        google.spoil['/token'] = async (res) => {
          expect((await call(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
          await server.core.settle();
          google.forgotten = [];
          json(res, 200, { access_token: 'google-late', refresh_token: 'google-r-late', token_type: 'bearer' });
        };
        expect((await read(linkId, token)).json.error).toBe('provider_sign_in_required');
      });
      await server.core.settle();
      expect(await rowOf(linkId)).toBeNull();
      expect(google.forgotten).toEqual(['google-r-late']);
    });

    it('with the link also when the provider hears nothing', async () => {
      for (const [kind, path] of [
        ['google', '/revoke'],
        ['github', ''],
      ] as const) {
        const { linkId, accountId } = await newcomer(kind, OFFLINE);
        elsewhere[kind].spoil[path] = (res) => json(res, 500, { token: 'x' });
        await db().account.update({ where: { id: accountId }, data: { passwordHash: 'one' } });
        const token = await tokenOf(accountId);
        expect((await call(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
        await server.core.settle();
        expect(await rowOf(linkId)).toBeNull();
      }
    });

    it('with the account, and each provider is asked to forget them', async () => {
      const { linkId, accountId, token } = await newcomer('google', OFFLINE);
      const code = await codeFor(elsewhere.github, newPerson(), APP);
      await call(server, 'POST', '/auth/github/link', { token, body: { code, redirect_uri: APP } });
      const refresh = last(elsewhere.google.given.refresh);
      const admin = await server.account();
      await db().account.update({ where: { id: admin.id }, data: { role: 'admin' } });
      await server.core.adminUsers.remove(accountId, admin, systemMeta);
      expect(await rowOf(linkId)).toBeNull();
      await server.core.settle();
      expect(elsewhere.google.forgotten).toEqual([refresh]);
    });

    it('with all else that was attached to an address that nobody had proved', async () => {
      const { linkId, accountId } = await newcomer('github');
      await db().$transaction((tx) => server.core.identities.removeAllFor(accountId, tx));
      expect(await rowOf(linkId)).toBeNull();
    });

    it('from sight at once where the keeper names the provider no more, and from the store with the next sweep', async () => {
      const { linkId, token, accountId } = await newcomer('github');
      expect((await read(linkId, token, forgetful)).status).toBe(404);
      expect(await linksOf(token, forgetful)).toMatchObject([{ keeps_token: false }]);
      await server.core.cleanup.sweepAll();
      expect((await read(linkId, token)).status, 'who keeps them sweeps none').toBe(200);
      await forgetful.core.cleanup.sweepAll();
      expect(await rowOf(linkId)).toBeNull();
      expect(await server.core.links.list(accountId)).toMatchObject([{ id: linkId, keepsToken: false }]);
    });

    it('when they have expired and cannot be renewed', async () => {
      const [once, again] = [await newcomer('google'), await newcomer('google', OFFLINE)];
      await later(2, () => server.core.cleanup.sweepAll());
      expect([await rowOf(once.linkId), await rowOf(again.linkId)]).toEqual([null, expect.anything()]);
    });
  });

  it('wait for no second factor of ours, which is asked for all the same', async () => {
    const { person, linkId, accountId } = await newcomer('github');
    const account = await db().account.findUniqueOrThrow({ where: { id: accountId } });
    const { app } = await enrol(server, new Date(), account);
    expect((await completeSignIn('github', person)).error).toBe('mfa_required');
    const token = (await completeSignIn('github', person, { otp: app.code(new Date(), 1) })).access_token;
    expect((await read(linkId, token)).json.access_token).toBe(last(elsewhere.github.given.access));
  });

  it('are opened after the master secret was changed, as long as the one before is known', async () => {
    const { linkId, accountId, person } = await newcomer('github');
    const NEXT = 'the next master secret, of 32 characters';
    const settings = { ...SETTINGS, FEDERATION_STORE_TOKENS: 'github', FEDERATION_REDIRECT_URIS: APP, SECRET: NEXT };
    const around = pointTo(...Object.values(elsewhere));
    const turned = await startServer({
      beside: server,
      settings: { ...settings, SECRET_PREVIOUS: server.config.secret! },
      around,
    });
    try {
      const token = await tokenOf(accountId);
      expect((await read(linkId, token, turned)).status).toBe(200);
      expect((await completeSignIn('github', person, {}, turned)).status).toBe(200);
      const { status, json: answer } = await read(linkId, token); // who knows the old one only
      expect([status, answer.error]).toEqual([409, 'provider_sign_in_required']);
    } finally {
      await turned.close();
    }
  });

  it('of a person who signs in with a password are read as well: no app has to ask for it at the keyboard', async () => {
    const { access_token, email, accountId } = await newLogin(server);
    const code = await codeFor(elsewhere.github, newPerson(), APP);
    await call(server, 'POST', '/auth/github/link', { token: access_token, body: { code, redirect_uri: APP } });
    const [link] = await server.core.links.list(accountId);
    const { access_token: token } = await logIn(server, email);
    await db().session.updateMany({ where: { accountId }, data: { authTime: new Date(0) } });
    expect((await read(link!.id, token)).status).toBe(200);
  });
});
