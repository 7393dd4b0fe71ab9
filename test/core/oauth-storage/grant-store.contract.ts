/** The contract of every `GrantStore`. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { GrantSelection, NewGrant } from '../../../src/core/oauth-storage/stores.js';
import { concurrently } from '../../support/token-family.js';
import { databaseImplementations, useImplementation } from './implementations.js';

const later = () => addSeconds(new Date(), 60);

describe.each(databaseImplementations)('GrantStore of $name', (implementation) => {
  const opened = useImplementation(implementation);

  /** Returns an unsaved grant, for a new account unless `more` names one. */
  async function newGrant(more: Partial<NewGrant> = {}): Promise<NewGrant> {
    const accountId = more.accountId ?? (await opened.server.account()).id;
    const payload = { openid: { scope: 'openid ü' } };
    return {
      id: randomUUID(),
      accountId,
      clientId: 'c',
      offline: false,
      consented: false,
      payload,
      expiresAt: later(),
      ...more,
    };
  }

  async function newSession(accountId: string): Promise<string> {
    const { db } = opened.server.base;
    const data = { accountId, channel: 'browser', authTime: new Date(), amr: [], expiresAt: later() } as const;
    return (await db.session.create({ data })).id;
  }

  it('returns a saved grant with its payload', async () => {
    const grant = await newGrant();
    expect(await opened.grants.save(grant)).toBe(true);
    const { consented: _notStored, ...stored } = grant;
    expect(await opened.grants.find(grant.id)).toMatchObject({ ...stored, sessionId: null, lastUsedAt: null });
    expect(await opened.grants.find(randomUUID())).toBeUndefined();
  });

  it('overwrites payload and expiry of a saved grant', async () => {
    const grant = await newGrant();
    await opened.grants.save(grant);
    const expiresAt = addSeconds(new Date(), 120);
    expect(await opened.grants.save({ ...grant, payload: { n: 2 }, expiresAt })).toBe(true);
    expect(await opened.grants.find(grant.id)).toMatchObject({ payload: { n: 2 }, expiresAt });
  });

  it('does not save a grant of a session that was revoked', async () => {
    const { id: accountId } = await opened.server.account();
    const sessionId = await newSession(accountId);
    expect(await opened.grants.save(await newGrant({ accountId, sessionId }))).toBe(true);
    await opened.server.core.sessions.revoke(sessionId, 'revoked', systemMeta);
    const late = await newGrant({ accountId, sessionId });
    expect(await opened.grants.save(late)).toBe(false);
    expect(await opened.grants.find(late.id)).toBeUndefined();
  });

  it('saves a grant that depends on a consent only while there is one', async () => {
    const account = await opened.server.account();
    const { id: accountId } = account;
    const { consents } = opened.server.core;
    const grant = await newGrant({ accountId, consented: true });
    expect(await opened.grants.save(grant)).toBe(false);
    await consents.grant({ account }, 'c', { scopes: ['openid'], claims: [], resources: {} }, systemMeta);
    expect(await opened.grants.save(grant)).toBe(true);
    await consents.revoke(accountId, 'c', systemMeta);
    expect(await opened.grants.save(await newGrant({ accountId, consented: true }))).toBe(false);
  });

  it('leaves no grant when saves and a revocation of the consent run concurrently', async () => {
    const account = await opened.server.account();
    const { id: accountId } = account;
    const { consents } = opened.server.core;
    await consents.grant({ account }, 'c', { scopes: ['openid'], claims: [], resources: {} }, systemMeta);
    const grants = await Promise.all(Array.from({ length: 10 }, () => newGrant({ accountId, consented: true })));
    await Promise.all([
      ...grants.map((grant) => opened.grants.save(grant)),
      consents.revoke(accountId, 'c', systemMeta),
    ]);
    expect(await opened.grants.list(accountId)).toEqual([]);
  });

  it('inserts a grant within a transaction, and not when it rolls back', async () => {
    const { db } = opened.server.base;
    const [kept, lost] = [await newGrant(), await newGrant()];
    await db.$transaction((tx) => opened.grants.insert(kept, tx));
    const rolledBack = db.$transaction(async (tx) => {
      await opened.grants.insert(lost, tx);
      expect(await opened.grants.find(lost.id, tx)).toMatchObject({ id: lost.id });
      throw new Error('roll back');
    });
    await expect(rolledBack).rejects.toThrow('roll back');
    expect(await opened.grants.find(kept.id)).toMatchObject({ id: kept.id });
    expect(await opened.grants.find(lost.id)).toBeUndefined();
  });

  it('lists the grants of an account that have not expired', async () => {
    const { id: accountId } = await opened.server.account();
    const [valid, expired] = [
      await newGrant({ accountId }),
      await newGrant({ accountId, expiresAt: addSeconds(new Date(), -1) }),
    ];
    await opened.grants.save(valid);
    await opened.grants.save(expired);
    expect((await opened.grants.list(accountId)).map(({ id }) => id)).toEqual([valid.id]);
    expect(await opened.grants.find(expired.id)).toMatchObject({ id: expired.id });
  });

  it('updates lastUsedAt when a grant is locked, and reports a missing grant', async () => {
    const { db } = opened.server.base;
    const grant = await newGrant();
    await opened.grants.save(grant);
    expect(await db.$transaction((tx) => opened.grants.lock(grant.id, tx))).toBe(true);
    expect((await opened.grants.find(grant.id))?.lastUsedAt).toBeInstanceOf(Date);
    expect(await db.$transaction((tx) => opened.grants.lock(randomUUID(), tx))).toBe(false);
  });

  it('deletes the selected grants with their refresh tokens, and no other', async () => {
    const { db } = opened.server.base;
    const { id: accountId } = await opened.server.account();
    const sessionId = await newSession(accountId);
    const deleted = (selection: GrantSelection) => db.$transaction((tx) => opened.grants.deleteWhere(selection, tx));
    const grants = {
      session: await newGrant({ accountId, sessionId }),
      offline: await newGrant({ accountId, sessionId, offline: true }),
      client: await newGrant({ accountId, clientId: 'other' }),
      account: await newGrant(),
    };
    for (const grant of Object.values(grants)) await opened.grants.save(grant);
    const token = { id: randomUUID(), grantId: grants.session.id, payload: {}, expiresAt: later() };
    await opened.refreshTokens.save(token);

    expect(await deleted({ sessionIds: [sessionId], offline: false })).toBe(1);
    expect(await opened.refreshTokens.find(token.id)).toBeUndefined();
    expect(await deleted({ accountId, clientId: 'other' })).toBe(1);
    expect(await deleted({ accountId, exceptSessionId: sessionId })).toBe(0);
    expect(await opened.grants.find(grants.offline.id)).toBeDefined();
    expect(await deleted({ accountId })).toBe(1);
    expect(await deleted({ id: grants.account.id })).toBe(1);
    expect(await deleted({ id: grants.account.id })).toBe(0);
  });

  it('counts a grant once when 10 concurrent calls delete it', async () => {
    const { db } = opened.server.base;
    const grant = await newGrant();
    await opened.grants.save(grant);
    const counts = await concurrently(10, () =>
      db.$transaction((tx) => opened.grants.deleteWhere({ id: grant.id }, tx)),
    );
    expect(counts.reduce((sum, count) => sum + count)).toBe(1);
  });
});
