// Sessions: expiry, revocation with their grants, and listeners.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { movableClock } from '../../support/movable-clock.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';

const DAY_MS = 86_400_000;

describe.each(stores)('a session on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  async function open() {
    const account = await server.account();
    const { session, token } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    return { account, session, token };
  }
  const isOpen = async (token: string) => (await server.core.sessions.findByToken(token)) !== undefined;

  it('reports revoked sessions that have expired, because their apps can still have sessions', async () => {
    const { account, session } = await open();
    await server.core.sessions.rememberClient(session.id, 'app');
    await server.base.db.session.update({
      where: { id: session.id },
      data: { expiresAt: new Date(Date.now() - 1000) },
    });
    const revoked: unknown[] = [];
    server.core.sessions.onRevoked((sessions) => revoked.push(...sessions));
    await changeAccount(server, account.id, { status: 'suspended' });
    expect(revoked).toEqual([{ sessionId: session.id, accountId: account.id, clientIds: ['app'] }]);
  });

  it('expires without use, is extended by use, and expires after SESSION_MAX', async () => {
    const [idle, used] = [await open(), await open()];
    for (let day = 7; day <= 28; day += 7)
      await later(day * DAY_MS, async () => expect(await isOpen(used.token), `day ${day}`).toBe(true));
    await later(28 * DAY_MS, async () => expect(await isOpen(idle.token)).toBe(false));
    await later(30 * DAY_MS + 1000, async () => expect(await isOpen(used.token)).toBe(false));
  });

  it('is revoked at once, alone or with the other sessions of the account', async () => {
    const { account, session, token } = await open();
    const other = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    expect([await isOpen(token), await isOpen(other.token)]).toEqual([false, true]);
    const third = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await revokeAllSessions(server, account.id, 'password_changed', third.session.id);
    expect([await isOpen(other.token), await isOpen(third.token)]).toEqual([false, true]);
    await revokeAllSessions(server, account.id, 'revoked');
    expect(await isOpen(third.token)).toBe(false);
    const reasons = (await server.core.audit.list({ action: 'session.ended', accountId: account.id })).map(
      ({ detail }) => (detail as { reason: string }).reason,
    );
    expect(reasons.sort()).toEqual(['password_changed', 'revoked', 'signed_out']);
  });

  it('is revoked with its grants, except offline grants at sign-out', async () => {
    const { grants } = server.core.oauthStorage;
    const saveGrant = async (id: string, sessionId: string, accountId: string, offline: boolean) =>
      grants.save({
        id,
        accountId,
        clientId: 'c',
        sessionId,
        offline,
        consented: false,
        payload: {},
        expiresAt: new Date(Date.now() + 1e9),
      });
    const one = await open();
    await saveGrant('on', one.session.id, one.account.id, false);
    await saveGrant('off', one.session.id, one.account.id, true);
    await server.core.sessions.revoke(one.session.id, 'signed_out', systemMeta);
    expect((await grants.list(one.account.id)).map(({ id }) => id)).toEqual(['off']);
    const two = await open();
    await saveGrant('off2', two.session.id, two.account.id, true);
    await server.core.sessions.revoke(two.session.id, 'token_reuse', systemMeta);
    expect(await grants.list(two.account.id)).toEqual([]);
    expect(await saveGrant('late', two.session.id, two.account.id, true)).toBe(false);
    await revokeAllSessions(server, one.account.id, 'suspended');
    expect(await grants.list(one.account.id)).toEqual([]);
  });

  it('leaves no grant when it is revoked during a new grant and a sign-out', async () => {
    const { grants } = server.core.oauthStorage;
    const { sessions } = server.core;
    const rounds = Array.from({ length: 8 }, async (_, n) => {
      const { account, session } = await open();
      const kept = await sessions.open(account, ['pwd'], systemMeta);
      const grant = { accountId: account.id, clientId: 'c', offline: true, consented: false, payload: {} };
      const expiresAt = new Date(Date.now() + 1e9);
      await Promise.all([
        grants.save({ ...grant, id: `race ${n}`, sessionId: session.id, expiresAt }),
        sessions.revoke(session.id, 'signed_out', systemMeta),
        revokeAllSessions(server, account.id, 'mfa_changed', kept.session.id),
        grants.save({ ...grant, id: `kept ${n}`, sessionId: kept.session.id, expiresAt }),
      ]);
      return (await grants.list(account.id)).map(({ id }) => id);
    });
    expect(await Promise.all(rounds)).toEqual(rounds.map((_, n) => [`kept ${n}`]));
  });

  it('notifies listeners of its revocation once, with its clients for back-channel logout', async () => {
    const { account, session } = await open();
    for (const clientId of ['a', 'b', 'a']) await server.core.sessions.rememberClient(session.id, clientId);
    const revoked: unknown[] = [];
    server.core.sessions.onRevoked((sessions) => revoked.push(...sessions));
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    expect(revoked).toEqual([{ sessionId: session.id, accountId: account.id, clientIds: ['a', 'b'] }]);
  });

  it('is rejected when its account is suspended', async () => {
    const { account, token } = await open();
    await suspendAccount(server, account.id);
    expect(await isOpen(token)).toBe(false);
  });

  it('is rejected if it was authenticated before `notBefore` of the account, even if no revocation reached it', async () => {
    const { account, token } = await open();
    const notBefore = new Date(Date.now() + 1000);
    await server.base.db.account.update({ where: { id: account.id }, data: { notBefore } });
    await server.base.invalidationBus.publish('accounts', account.id);
    expect(await isOpen(token)).toBe(false);
  });
});
