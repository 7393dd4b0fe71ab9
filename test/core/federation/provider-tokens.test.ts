// Stored tokens of external providers: access and deletion.
import { beforeAll, describe, expect, it } from 'vitest';
import { Prisma } from '../../../src/base/db/open.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, createAccount, suspendAccount } from '../../support/accounts.js';
import { createSignedInAccount, logIn } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import {
  newExternalUser,
  obtainProviderCode,
  json as respondJson,
  SETTINGS,
  useFakeProvider,
} from '../../support/fake-providers.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { APP, HOUR_MS, last, OFFLINE, useProviderTokens } from './provider-token-setup.js';

describe.each(stores)('a stored provider token on $name', (store) => {
  const setup = useProviderTokens(store);
  const { external, later, signIn, signInNewUser, signInForRefresh, read, rowOf, linksOf, issueToken } = setup;
  let server: TestServer;
  let secondServer: TestServer;
  let withoutStorage: TestServer;
  beforeAll(() => {
    ({ server, secondServer, withoutStorage } = setup.servers);
  });

  /** Returns the whole database as text. */
  async function dumpDatabase(): Promise<string> {
    const tables = Object.values(Prisma.ModelName).map((name) => name[0]!.toLowerCase() + name.slice(1));
    const all = server.base.db as unknown as Record<string, { findMany(): Promise<unknown> }>;
    const rows = await Promise.all(tables.map((name) => all[name]!.findMany()));
    return JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  }

  describe('is stored', () => {
    it('if the settings ask for it, and rerotated to their user without the refresh token', async () => {
      const { linkId, token } = await signInNewUser('google', OFFLINE);
      const response = await read(linkId, token);
      expect(response.status).toBe(200);
      expect(response.json).toEqual({
        access_token: last(external.google.issued.access),
        token_type: 'bearer',
        scope: 'openid profile email calendar',
        expires_at: expect.stringMatching(/Z$/),
      });
      const left = Date.parse(String(response.json.expires_at)) - Date.now();
      expect(Math.abs(left - 3_599_000)).toBeLessThan(60_000);
      expect(response.headers['cache-control']).toBe('no-store');
      expect(await linksOf(token)).toMatchObject([{ keeps_token: true }]);
    });

    it('encrypted, and never appears in the database, the audit log or the log', async () => {
      const { linkId, token, accountId } = await signInForRefresh();
      await read(linkId, token);
      await later(9 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
      await server.core.audit.flush();
      const [database, log] = [await dumpDatabase(), [...server.lines, ...secondServer.lines].join('\n')];
      expect(database).toContain(linkId);
      for (const { issued } of Object.values(external)) {
        for (const secret of [...issued.access, ...issued.refresh]) {
          expect(database).not.toContain(secret);
          expect(log).not.toContain(secret);
        }
      }
      const events = await server.base.db.auditEvent.findMany({
        where: { accountId, action: 'identity.token_accessed' },
      });
      expect(events).toHaveLength(2);
      expect(events[0]).toMatchObject({ detail: { issuer: external.github.issuer }, sessionId: expect.any(String) });
    });

    it('only for the providers that the settings name', async () => {
      const linkedin = await signInNewUser('linkedin');
      const github = await signInNewUser('github', {}, withoutStorage);
      for (const { linkId, token } of [linkedin, github]) {
        expect(await rowOf(linkId)).toBeNull();
        const { status, json } = await read(linkId, token);
        expect([status, json.error]).toEqual([404, 'not_found']);
        expect(await linksOf(token)).toMatchObject([{ keeps_token: false }]);
      }
    });

    it('when a user links the provider, and again when the user repeats it', async () => {
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

    it('at each sign-in, with the previous refresh token if there is no new one', async () => {
      const { externalUser, linkId, token, accountId } = await signInNewUser('google', OFFLINE);
      const refresh = last(external.google.issued.refresh);
      await signIn('google', externalUser);
      expect((await read(linkId, token)).json.access_token).toBe(last(external.google.issued.access));
      await later(2 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
      expect(external.google.redeemed).toEqual([refresh]);
      await signIn('google', externalUser, OFFLINE);
      await later(2 * HOUR_MS, async () => read(linkId, await issueToken(accountId)));
      expect(external.google.redeemed).toEqual([refresh, last(external.google.issued.refresh)]);
      expect(last(external.google.redeemed)).not.toBe(refresh);
    });

    it('only while the account is active', async () => {
      const { externalUser, linkId, accountId } = await signInNewUser('github');
      const account = await server.base.db.account.findUniqueOrThrow({ where: { id: accountId } });
      const login = await server.core.sessions.open(account, ['pwd'], systemMeta);
      const before = await rowOf(linkId);
      await suspendAccount(server, accountId);
      expect((await signIn('github', externalUser)).error).toBe('account_suspended');
      expect(await rowOf(linkId)).toEqual(before);
      const reading = server.core.providerTokens.read({ account, amr: ['pwd'], ...login }, linkId, systemMeta);
      await expect(reading).rejects.toMatchObject({ status: 404 });
    });
  });

  describe('belongs to one user', () => {
    it('and does not exist for other users', async () => {
      const { linkId, token } = await signInNewUser('github');
      const { access_token: other } = await createSignedInAccount(server);
      for (const [id, bearer] of [
        [linkId, other],
        ['unknown', token],
      ] as const) {
        const { status, json } = await read(id, bearer);
        expect([status, json.error, json.error_description]).toEqual([404, 'not_found', 'This link does not exist.']);
      }
    });

    it('and cannot be decrypted from a row that was copied to another link', async () => {
      const [theirs, mine] = [await signInNewUser('github'), await signInNewUser('github')];
      const { identityId: _, ...row } = (await rowOf(theirs.linkId))!;
      await server.base.db.storedTokens.update({ where: { identityId: mine.linkId }, data: row });
      const { status, json, text } = await read(mine.linkId, mine.token);
      expect([status, json.error]).toEqual([409, 'provider_sign_in_required']);
      expect(text).not.toContain('github-');
      await signIn('github', mine.externalUser);
      expect((await read(mine.linkId, mine.token)).status, 'a sign-in replaces the row').toBe(200);
    });

    it('and cannot be decrypted if access token and refresh token are swapped', async () => {
      const { linkId, accountId } = await signInForRefresh();
      const { sealedAccess, sealedRefresh } = (await rowOf(linkId))!;
      await server.base.db.storedTokens.update({
        where: { identityId: linkId },
        data: { sealedAccess: sealedRefresh! },
      });
      expect((await read(linkId, await issueToken(accountId))).status).toBe(409);
      const swapped = { sealedAccess, sealedRefresh: sealedAccess };
      await server.base.db.storedTokens.update({ where: { identityId: linkId }, data: swapped });
      await later(9 * HOUR_MS, async () => expect((await read(linkId, await issueToken(accountId))).status).toBe(409));
      expect(external.github.redeemed).toEqual([]);
    });

    it('and can be read a limited number of times', async () => {
      const { linkId, token } = await signInNewUser('github');
      const responses = await Promise.all(Array.from({ length: 125 }, () => read(linkId, token)));
      expect(responses.map(({ status }) => status).filter((status) => status === 429)).toHaveLength(5);
      const rejected = responses.find(({ status }) => status === 429)!;
      expect([rejected.json.error, Number(rejected.headers['retry-after']) > 0]).toEqual(['rate_limited', true]);
    });
  });

  describe('is deleted', () => {
    it('with its link, and revoked at the provider', async () => {
      const { linkId, accountId } = await signInNewUser('google', OFFLINE);
      const refresh = last(external.google.issued.refresh);
      await changeAccount(server, accountId, { password: PASSWORD }); // the last sign-in method cannot be removed
      const token = await issueToken(accountId);
      expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
      expect(await rowOf(linkId)).toBeNull();
      expect((await read(linkId, token)).status).toBe(404);
      await server.core.waitUntilIdle();
      expect(external.google.revoked).toEqual([refresh]);
    });

    it('with its link during a refresh, whose result is revoked as well', async () => {
      const { linkId, accountId } = await signInNewUser('google', OFFLINE);
      const google = external.google;
      await changeAccount(server, accountId, { password: PASSWORD });
      await later(2 * HOUR_MS, async () => {
        const token = await issueToken(accountId);
        google.overrides['/token'] = async (res) => {
          expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
          await server.core.waitUntilIdle();
          google.revoked = [];
          respondJson(res, 200, { access_token: 'google-late', refresh_token: 'google-r-late', token_type: 'bearer' });
        };
        expect((await read(linkId, token)).json.error).toBe('provider_sign_in_required');
      });
      await server.core.waitUntilIdle();
      expect(await rowOf(linkId)).toBeNull();
      expect(google.revoked).toEqual(['google-r-late']);
    });

    it('with its link even if the revocation at the provider fails', async () => {
      for (const [kind, path] of [
        ['google', '/revoke'],
        ['github', ''],
      ] as const) {
        const { linkId, accountId } = await signInNewUser(kind, OFFLINE);
        external[kind].overrides[path] = (res) => respondJson(res, 500, { token: 'x' });
        await changeAccount(server, accountId, { password: PASSWORD });
        const token = await issueToken(accountId);
        expect((await callApi(server, 'DELETE', `/auth/links/${linkId}`, { token })).status).toBe(200);
        await server.core.waitUntilIdle();
        expect(await rowOf(linkId)).toBeNull();
      }
    });

    it('with its account, and revoked at the provider', async () => {
      const { linkId, accountId, token } = await signInNewUser('google', OFFLINE);
      const code = await obtainProviderCode(external.github, newExternalUser(), APP);
      await callApi(server, 'POST', '/auth/github/link', { token, body: { code, redirect_uri: APP } });
      const refresh = last(external.google.issued.refresh);
      const admin = await createAccount(server, { role: 'admin' });
      await server.core.userAdministration.remove(accountId, admin, systemMeta);
      expect(await rowOf(linkId)).toBeNull();
      await server.core.waitUntilIdle();
      expect(external.google.revoked).toEqual([refresh]);
    });

    it('with all identities of the account', async () => {
      const { linkId, accountId } = await signInNewUser('github');
      await server.base.db.$transaction((tx) => server.core.identities.removeAllFor(accountId, tx));
      expect(await rowOf(linkId)).toBeNull();
    });

    it('by the next cleanup, and hidden at once, when the settings no longer name its provider', async () => {
      const { linkId, token, accountId } = await signInNewUser('github');
      expect((await read(linkId, token, withoutStorage)).status).toBe(404);
      expect(await linksOf(token, withoutStorage)).toMatchObject([{ keeps_token: false }]);
      await server.core.cleanup.sweepAll();
      expect((await read(linkId, token)).status, 'the cleanup of a server that stores tokens keeps it').toBe(200);
      await withoutStorage.core.cleanup.sweepAll();
      expect(await rowOf(linkId)).toBeNull();
      expect(await server.core.links.list(accountId)).toMatchObject([{ id: linkId, hasStoredTokens: false }]);
    });

    it('when it has expired and cannot be refreshed', async () => {
      const [once, again] = [await signInNewUser('google'), await signInNewUser('google', OFFLINE)];
      await later(2 * HOUR_MS, () => server.core.cleanup.sweepAll());
      expect([await rowOf(once.linkId), await rowOf(again.linkId)]).toEqual([null, expect.anything()]);
    });
  });

  it('is stored before the second factor, which is still required', async () => {
    const { externalUser, linkId, accountId } = await signInNewUser('github');
    const account = await server.base.db.account.findUniqueOrThrow({ where: { id: accountId } });
    const { app } = await enrol(server, new Date(), account);
    expect((await signIn('github', externalUser)).error).toBe('mfa_required');
    const token = (await signIn('github', externalUser, { otp: app.code(new Date(), 1) })).access_token;
    expect((await read(linkId, token)).json.access_token).toBe(last(external.github.issued.access));
  });

  it('can be decrypted after a rotation of SECRET', async () => {
    const { linkId, accountId, externalUser } = await signInNewUser('github');
    const newSecret = 'the next master secret, of 32 characters';
    const settings = {
      ...SETTINGS,
      FEDERATION_STORE_TOKENS: 'github',
      FEDERATION_REDIRECT_URIS: APP,
      SECRET: newSecret,
    };
    const wrapBase = useFakeProvider(...Object.values(external));
    const rotated = await startServer({
      sharedWith: server,
      settings: { ...settings, SECRET_PREVIOUS: server.config.secret! },
      wrapBase,
    });
    try {
      const token = await issueToken(accountId);
      expect((await read(linkId, token, rotated)).status).toBe(200);
      expect((await signIn('github', externalUser, {}, rotated)).status).toBe(200);
      const { status, json } = await read(linkId, token); // this server has only the old secret
      expect([status, json.error]).toEqual([409, 'provider_sign_in_required']);
    } finally {
      await rotated.close();
    }
  });

  it('can be read without recent authentication', async () => {
    const { access_token, email, accountId } = await createSignedInAccount(server);
    const code = await obtainProviderCode(external.github, newExternalUser(), APP);
    await callApi(server, 'POST', '/auth/github/link', { token: access_token, body: { code, redirect_uri: APP } });
    const [link] = await server.core.links.list(accountId);
    const { access_token: token } = await logIn(server, email);
    expect((await later(HOUR_MS, () => read(link!.id, token))).status).toBe(200);
  });
});
