// Agents as OAuth clients: their own tokens, and tokens for acting on behalf of users (RFC 8693).

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { getAgent, type OnboardedAgent, onboard } from '../../support/agents.js';
import { createSignedInAccount } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { movableClock } from '../../support/movable-clock.js';
import { requestToken, type TestClient } from '../../support/relying-party.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily, revoke } from '../../support/token-family.js';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const BOARD = 'https://board.example';
const OPAQUE = 'https://opaque.example';

describe.each(stores)('an agent as a client on $name', (store) => {
  let server: TestServer;
  let beside: TestServer;
  let app: TestClient;
  const { clock, later } = movableClock();
  const settings = { TRUSTED_PROXIES: '127.0.0.1' };
  beforeAll(async () => {
    server = await startServer({ store, clock, settings });
    await server.base.db.resource.create({
      data: {
        identifier: BOARD,
        name: 'Board',
        scopes: {
          create: [
            { name: 'read:board', description: 'Read the minutes.', capability: true },
            { name: 'write:board', description: 'Write the minutes.', capability: true },
            { name: 'read:cap-table', description: 'Read the cap table.' },
            { name: 'admin', description: 'All of it.', capability: true },
          ],
        },
      },
    });
    await server.base.db.resource.create({
      data: {
        ...{ identifier: OPAQUE, name: 'Opaque', accessTokenFormat: 'opaque' },
        scopes: { create: [{ name: 'read:cap-table', description: 'Read the cap table.' }] },
      },
    });
    await server.core.resources.reload();
    beside = await startServer({ sharedWith: server, clock, settings });
    app = await server.client();
  });
  afterAll(async () => {
    await beside.close();
    await server.close();
  });

  const own = () => `${server.issuer}/api/v1`;
  const audienceOf = ({ client_id: id }: OnboardedAgent) => `${server.issuer}/agents/${id}`;
  const asClient = ({ client_id: id, api_key: secret }: OnboardedAgent): TestClient => ({ id, secret });
  const scopesOf = (accessToken: string | undefined) => String(decodeJwt(accessToken!).scope).split(' ').sort();

  /** A person, and an agent of theirs. */
  async function household(capabilities = ['read:cap-table', 'write:equity', 'read:board']) {
    const person = await createSignedInAccount(server);
    return { person, agent: await onboard(server, { capabilities }, person.access_token) };
  }

  /** The tokens of a sign-in in which an app asked for these. */
  async function signIn(
    email: string,
    more: { scope: string; resource: string },
    browser = new Browser(server.origin),
  ) {
    await browser.signIn(email, PASSWORD);
    return openTokenFamily(server, app, email, more, browser);
  }

  /** A token of the person that is meant for the agent. */
  const forAgent = async (email: string, agent: OnboardedAgent, scope = 'openid read:cap-table write:equity') =>
    (await signIn(email, { scope, resource: audienceOf(agent) })).accessToken;

  const exchange = (agent: OnboardedAgent, subject: string, more: Record<string, string> = {}, at = server) =>
    requestToken(at, asClient(agent), {
      grant_type: EXCHANGE,
      subject_token: subject,
      subject_token_type: ACCESS_TOKEN,
      ...more,
    });

  const isActive = async (accessToken: string, at = server) => {
    const admin = await adminClient();
    return (await introspect(at, admin, accessToken)).body.active === true;
  };
  let admin: Promise<TestClient> | undefined;
  const adminClient = () => {
    admin ??= server.client();
    return admin;
  };

  describe('with a token of its own', () => {
    const credentials = { grant_type: 'client_credentials' };

    it('gets tokens with its client ID and key, in the header or the form, within its capabilities', async () => {
      const { agent } = await household();
      const inForm = { id: agent.client_id, secret: '' };
      for (const [client, more] of [
        [asClient(agent), {}],
        [inForm, { client_secret: agent.api_key }],
      ] as const) {
        const all = await requestToken(server, client, { ...credentials, ...more });
        expect(all.status, JSON.stringify(all.body)).toBe(200);
        expect(scopesOf(all.body.access_token)).toEqual(['read:board', 'read:cap-table', 'write:equity']);
        expect(decodeJwt(all.body.access_token!)).toMatchObject({
          aud: own(),
          sub: agent.client_id,
          client_id: agent.client_id,
          company_id: agent.company_id,
          claimed: true,
        });
        const less = await requestToken(server, client, {
          ...credentials,
          ...more,
          scope: 'read:cap-table',
          resource: own(),
        });
        expect(scopesOf(less.body.access_token)).toEqual(['read:cap-table']);
        expect((await getAgent(server, agent, less.body.access_token!)).status).toBe(200);
        const other = await requestToken(server, client, { ...credentials, ...more, resource: BOARD });
        expect(decodeJwt(other.body.access_token!)).toMatchObject({ aud: BOARD, company_id: agent.company_id });
        expect(scopesOf(other.body.access_token)).toEqual(['read:board', 'read:cap-table']);
        expect((await getAgent(server, agent, other.body.access_token!)).status).toBe(401); // another audience
      }
    });

    it('gets no scope beyond its capabilities, and no token with the key of another agent', async () => {
      const { agent } = await household(['read:cap-table']);
      const { agent: other } = await household();
      const wide = await requestToken(server, asClient(agent), {
        ...credentials,
        scope: 'admin write:equity memory:read',
        resource: own(),
      });
      expect(wide.body.access_token && decodeJwt(wide.body.access_token).scope).toBeUndefined();
      for (const secret of [other.api_key, agent.token, agent.api_key.slice(0, -1), 'x']) {
        const answer = await requestToken(server, { id: agent.client_id, secret }, credentials);
        expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client']);
      }
      for (const grant of ['authorization_code', 'refresh_token']) {
        const answer = await requestToken(server, asClient(agent), {
          grant_type: grant,
          code: 'x',
          refresh_token: 'x',
        });
        expect([answer.status, answer.body.error]).toEqual([400, 'unauthorized_client']);
      }
      expect((await server.core.clients.list()).map(({ id }) => id)).not.toContain(agent.client_id);
      await expect(server.core.clients.rotateSecret(agent.client_id, systemMeta)).rejects.toThrow('no such client');
    });

    it('gets tokens only for resources open to unclaimed agents while it is unclaimed', async () => {
      const agent = await onboard(server, { capabilities: ['read:cap-table', 'read:board'] });
      const ours = await requestToken(server, asClient(agent), { ...credentials, resource: own() });
      expect(decodeJwt(ours.body.access_token!)).toMatchObject({ claimed: false });
      const other = await requestToken(server, asClient(agent), { ...credentials, resource: BOARD });
      expect([other.status, other.body.error]).toEqual([400, 'invalid_target']);
      const exchanged = await exchange(agent, 'x');
      expect([exchanged.status, exchanged.body.error]).toEqual([400, 'unauthorized_client']);
      const { email } = await createSignedInAccount(server);
      const asked = await fetch(
        `${server.origin}/oauth/authorize?${new URLSearchParams({
          ...{ response_type: 'code', client_id: app.id, scope: 'openid', code_challenge_method: 'S256' },
          ...{ redirect_uri: 'https://acme.example/cb', code_challenge: 'x'.repeat(43), resource: audienceOf(agent) },
        })}`,
        { redirect: 'manual', headers: { cookie: `x=${email}` } },
      );
      expect(asked.headers.get('location')).toContain('invalid_target');
      await later(7 * 86_400_000 + 1000, async () => {
        expect((await requestToken(server, asClient(agent), credentials)).body.error).toBe('invalid_client');
      });
    });

    it('gets no token that expires after the agent', async () => {
      const agent = await onboard(server, { capabilities: ['read:cap-table'] });
      const ends = { where: { id: agent.client_id }, data: { expiresAt: new Date(Date.now() + 60_000) } };
      await server.base.db.agent.update(ends);
      await server.base.invalidationBus.publish('agents', agent.client_id);
      const { body } = await requestToken(server, asClient(agent), credentials);
      expect(body.expires_in).toBeGreaterThan(0);
      expect(body.expires_in).toBeLessThanOrEqual(60);
    });

    it('loses its tokens on every process when its key is rotated or it is deleted', async () => {
      const { agent, person } = await household();
      for (const end of ['rotate', 'delete']) {
        const opaque = (await requestToken(server, asClient(agent), credentials)).body.access_token!;
        for (const at of [server, beside]) expect(await isActive(opaque, at)).toBe(true);
        const path = `/agents/${agent.client_id}${end === 'rotate' ? '/rotate-key' : ''}`;
        const answer = await callApi(server, end === 'rotate' ? 'POST' : 'DELETE', path, {
          token: person.access_token,
        });
        expect(answer.status).toBeLessThan(300);
        expect(await isActive(opaque)).toBe(false);
        await expect.poll(() => isActive(opaque, beside), { timeout: 1000, interval: 50 }).toBe(false);
        expect((await requestToken(beside, asClient(agent), credentials)).body.error).toBe('invalid_client');
        Object.assign(agent, answer.json);
      }
    });
  });

  describe('on behalf of a user', () => {
    it('gets a token with `act`, limited to the allowed scopes, and no refresh token', async () => {
      const { person, agent } = await household();
      const subject = await forAgent(person.email, agent);
      expect(decodeJwt(subject)).toMatchObject({ aud: audienceOf(agent), sub: person.accountId });
      const { status, body } = await exchange(agent, subject);
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body).toEqual({
        access_token: expect.any(String),
        issued_token_type: ACCESS_TOKEN,
        token_type: 'Bearer',
        expires_in: expect.any(Number),
        scope: 'read:cap-table write:equity',
      });
      const claims = decodeJwt(body.access_token!);
      expect(claims).toMatchObject({
        aud: own(),
        sub: person.accountId,
        client_id: agent.client_id,
        act: { sub: agent.client_id },
        company_id: agent.company_id,
        claimed: true,
      });
      expect(claims.exp).toBeLessThanOrEqual(decodeJwt(subject).exp!);
      expect(await isActive(body.access_token!)).toBe(true);
      const { body: introspected } = await introspect(server, await adminClient(), body.access_token!);
      expect(introspected).toMatchObject({
        sub: person.accountId,
        act: { sub: agent.client_id },
        client_id: agent.client_id,
      });
      const less = await exchange(agent, subject, { scope: 'read:cap-table', resource: BOARD });
      expect(decodeJwt(less.body.access_token!)).toMatchObject({ aud: BOARD, scope: 'read:cap-table' });
      const trail = await server.core.audit.list({ accountId: person.accountId, action: 'token.exchanged' });
      expect(trail).toHaveLength(2);
      expect(JSON.stringify(trail)).not.toContain(body.access_token);
    });

    it('is shown on the consent page with the requested scopes', async () => {
      const { person, agent } = await household();
      const browser = new Browser(server.origin);
      await browser.signIn(person.email, PASSWORD);
      const page = await browser.open(
        `/oauth/authorize?${new URLSearchParams({
          ...{ response_type: 'code', client_id: app.id, redirect_uri: 'https://acme.example/cb' },
          ...{ scope: 'openid write:equity', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
          resource: audienceOf(agent),
        })}`,
      );
      expect(page.html).toContain('Agent Cap Table Automation');
      expect(page.html).toContain('Issue grants');
    });

    it('exchanges a token for another API if the sign-in also requested the agent', async () => {
      const { person, agent } = await household();
      const { code, verifier } = await codeFor(
        person.email,
        [own(), audienceOf(agent)],
        'openid read:cap-table write:equity memory:read',
      );
      const redeemed = await requestToken(server, app, {
        ...{ grant_type: 'authorization_code', code, code_verifier: verifier },
        ...{ redirect_uri: 'https://acme.example/cb', resource: own() },
      });
      const subject = redeemed.body.access_token!;
      expect(decodeJwt(subject)).toMatchObject({ aud: own(), may_act: { sub: agent.client_id } });
      const { body } = await exchange(agent, subject);
      expect(scopesOf(body.access_token)).toEqual(['read:cap-table', 'write:equity']);
      const { agent: other } = await household();
      expect((await exchange(other, subject)).body.error).toBe('invalid_request');
    });

    async function codeFor(email: string, resources: string[], scope: string) {
      const { pkce, signInAndConsent } = await import('../../support/relying-party.js');
      const { verifier, challenge } = pkce();
      const query = new URLSearchParams({
        ...{ response_type: 'code', client_id: app.id, redirect_uri: 'https://acme.example/cb', scope },
        ...{ code_challenge: challenge, code_challenge_method: 'S256' },
      });
      for (const resource of resources) query.append('resource', resource);
      const browser = new Browser(server.origin);
      const url = await signInAndConsent(browser, `${server.origin}/oauth/authorize?${query}`, email);
      return { code: url.searchParams.get('code')!, verifier };
    }

    it('gets tokens bound to its own key', async () => {
      const { person, agent } = await household();
      const subject = await forAgent(person.email, agent);
      const { body } = await tokenWithProof(server, asClient(agent), await makeKey(), {
        ...{ grant_type: EXCHANGE, subject_token: subject, subject_token_type: ACCESS_TOKEN },
      });
      expect(body.token_type).toBe('DPoP');
      expect(decodeJwt(body.access_token!)).toMatchObject({ cnf: { jkt: expect.any(String) } });
    });

    it('delegates to other agents, at most four levels deep', async () => {
      const { person, agent: first } = await household();
      const agents = [first];
      for (const agent_id of ['b', 'c', 'd', 'e'])
        agents.push(await onboard(server, { agent_id, capabilities: ['read:cap-table'] }, person.access_token));
      let subject = await forAgent(person.email, first);
      const chain = agents.slice(0, 4);
      for (const [n, agent] of chain.entries()) {
        const isLast = n === chain.length - 1;
        const toNext = { resource: audienceOf(agents[n + 1]!) };
        if (isLast) {
          const { status, body } = await exchange(agent, subject, toNext);
          const why = 'a chain of delegation has at most 4 agents';
          expect([status, body.error, body.error_description]).toEqual([400, 'invalid_target', why]);
        }
        const answer = await exchange(agent, subject, isLast ? {} : toNext);
        expect(answer.status, JSON.stringify(answer.body)).toBe(200);
        subject = answer.body.access_token!;
        expect(scopesOf(subject)).toEqual(['read:cap-table']);
      }
      expect(JSON.stringify(decodeJwt(subject).act).match(/sub/g)).toHaveLength(4);
      expect(await isActive(subject)).toBe(true);
      await callApi(server, 'DELETE', `/agents/${agents[1]!.client_id}`, { token: person.access_token });
      expect(await isActive(subject)).toBe(false); // an agent in the chain was deleted
    });

    it('delegates to an agent of another organization only if the user allowed it', async () => {
      const { person, agent } = await household();
      const { agent: foreign } = await household();
      const subject = await forAgent(person.email, agent);
      const { status, body } = await exchange(agent, subject, { resource: audienceOf(foreign) });
      const why = 'an agent can delegate only within its organization, or to an agent that the user named';
      expect([status, body.error, body.error_description]).toEqual([400, 'invalid_target', why]);
      await expect
        .poll(() => server.core.audit.list({ clientId: agent.client_id, action: 'token.denied' }))
        .toMatchObject([{ detail: { reason: why } }]);
      const { code, verifier } = await codeFor(
        person.email,
        [audienceOf(agent), audienceOf(foreign)],
        'openid read:cap-table',
      );
      const redeemed = await requestToken(server, app, {
        ...{ grant_type: 'authorization_code', code, code_verifier: verifier },
        ...{ redirect_uri: 'https://acme.example/cb', resource: audienceOf(agent) },
      });
      const named = await exchange(agent, redeemed.body.access_token!, { resource: audienceOf(foreign) });
      expect(scopesOf((await exchange(foreign, named.body.access_token!)).body.access_token)).toEqual([
        'read:cap-table',
      ]);
    });

    it('loses an opaque token when an agent in its chain is deleted', async () => {
      const { person, agent: first } = await household();
      const second = await onboard(server, { agent_id: 'b', capabilities: ['read:cap-table'] }, person.access_token);
      const subject = await exchange(first, await forAgent(person.email, first), { resource: audienceOf(second) });
      const { body } = await exchange(second, subject.body.access_token!, { resource: OPAQUE });
      const got = body.access_token!;
      expect(got).not.toContain('.');
      for (const at of [server, beside]) expect(await isActive(got, at)).toBe(true);
      await callApi(server, 'DELETE', `/agents/${first.client_id}`, { token: person.access_token });
      expect(await isActive(got)).toBe(false);
      await expect.poll(() => isActive(got, beside), { timeout: 1000, interval: 50 }).toBe(false);
    });

    it('gets nothing for a subject token that is not an active access token of a user naming the agent', async () => {
      const { person, agent } = await household();
      const { agent: other } = await household();
      const subject = await forAgent(person.email, agent);
      const family = await signIn(person.email, { scope: 'openid read:cap-table', resource: own() });
      const plain = await openTokenFamily(server, app, person.email, {});
      const [header, payload, signature] = subject.split('.');
      const forged = { ...decodeJwt(subject), scope: 'admin' };
      for (const [name, by, text] of [
        ["another agent's token", other, subject],
        ['a token for our API', agent, family.accessToken],
        ['an opaque token', agent, plain.accessToken],
        ['a refresh token', agent, plain.refreshToken],
        ['a first-party token', agent, person.access_token],
        ["the agent's own token", agent, agent.token],
        ["the agent's key", agent, agent.api_key],
        [
          'a changed token',
          agent,
          `${header}.${Buffer.from(JSON.stringify(forged)).toString('base64url')}.${signature}`,
        ],
        [
          'an unsigned token',
          agent,
          `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`,
        ],
        ['garbage', agent, 'garbage'],
      ] as const) {
        const { status, body } = await exchange(by, text);
        expect([status, body.error], name).toEqual([400, 'invalid_request']);
      }
      const { code, verifier } = await codeFor(person.email, [audienceOf(agent)], 'openid read:cap-table');
      const redeemed = await requestToken(server, app, {
        ...{ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: 'https://acme.example/cb' },
      });
      const { body } = await exchange(agent, redeemed.body.id_token!);
      expect(body.error).toBe('invalid_request');
      for (const more of [
        { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' },
        { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
        { actor_token: agent.token },
        { subject_token: '' },
      ])
        expect((await exchange(agent, subject, more as never)).body.error, JSON.stringify(more)).toBe(
          'invalid_request',
        );
      for (const more of [{ resource: 'https://unknown.example' }, { audience: 'x' }] as const)
        expect((await exchange(agent, subject, more as never)).body.error).toBe('invalid_target');
      const appItself = await requestToken(server, app, {
        ...{ grant_type: EXCHANGE, subject_token: subject, subject_token_type: ACCESS_TOKEN },
      });
      expect([appItself.status, appItself.body.error]).toEqual([400, 'unauthorized_client']);
    });

    it('gets only scopes that the user allowed, the agent has and the resource defines', async () => {
      const { person, agent } = await household(['read:cap-table', 'read:board', 'admin']);
      const subject = await forAgent(person.email, agent, 'openid read:cap-table write:equity read:board admin');
      expect(scopesOf(subject)).toEqual(['read:board', 'read:cap-table']); // consent never includes `admin`
      for (const scope of ['write:equity', 'admin', 'read:cap-table admin', 'openid', 'write:board']) {
        const { status, body } = await exchange(agent, subject, { scope });
        expect([status, body.error], scope).toEqual([400, 'invalid_scope']);
      }
      const narrow = await forAgent(person.email, agent, 'openid read:board');
      expect((await exchange(agent, narrow, { scope: 'read:cap-table' })).body.error).toBe('invalid_scope');
    });

    it('loses the token with the session, the consent, the account, the agent or its key', async () => {
      const endings: Record<string, (who: Awaited<ReturnType<typeof household>>, subject: string) => Promise<unknown>> =
        {
          'the consent': ({ person }) => server.core.consents.revoke(person.accountId, app.id, systemMeta),
          'the sign-in': ({ person }) => revokeAllSessions(server, person.accountId, 'signed_out'),
          'the account': async ({ person: { accountId: id } }) => {
            await server.base.db.account.update({ where: { id }, data: { status: 'suspended' } });
            await server.base.invalidationBus.publish('accounts', id);
          },
          'the key': ({ person, agent }) =>
            callApi(server, 'POST', `/agents/${agent.client_id}/rotate-key`, { token: person.access_token }),
          'the agent': ({ person, agent }) =>
            callApi(server, 'DELETE', `/agents/${agent.client_id}`, { token: person.access_token }),
        };
      for (const [name, end] of Object.entries(endings)) {
        const who = await household();
        const subject = await forAgent(who.person.email, who.agent);
        const { body } = await exchange(who.agent, subject);
        const got = body.access_token!;
        for (const at of [server, beside]) expect(await isActive(got, at), name).toBe(true);
        await end(who, subject);
        expect(await isActive(got), name).toBe(false);
        await expect.poll(() => isActive(got, beside), { timeout: 1000, interval: 50 }).toBe(false);
        if (name === 'the key') continue;
        expect((await exchange(who.agent, subject)).body.error, name).toMatch(/invalid_(request|client)/);
      }
    });

    it('gets nothing for an expired or revoked subject token', async () => {
      const { person, agent } = await household();
      const subject = await forAgent(person.email, agent);
      await later(8 * 3_600_000 + 1000, async () => {
        expect((await exchange(agent, subject)).body.error_description).toContain('expired');
      });
      await revoke(server, app, subject);
      expect((await exchange(agent, subject)).body.error).toBe('invalid_request');
    });

    it('is advertised in the discovery document', async () => {
      const metadata = await (await fetch(`${server.origin}/.well-known/openid-configuration`)).json();
      expect((metadata as { grant_types_supported: string[] }).grant_types_supported).toContain(EXCHANGE);
      expect(JSON.stringify(metadata)).not.toContain('"admin"');
    });
  });
});
