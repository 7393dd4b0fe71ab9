/** The contract of every `RefreshTokenStore`. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import type { NewRefreshToken } from '../../../src/core/oauth-storage/stores.js';
import { concurrently } from '../../support/token-family.js';
import { databaseImplementations, useImplementation } from './implementations.js';

const later = () => addSeconds(new Date(), 60);
const newToken = (grantId: string): NewRefreshToken => ({
  id: randomUUID(),
  grantId,
  payload: { scope: 'openid ü' },
  accessTokenId: randomUUID(),
  expiresAt: later(),
});

describe.each(databaseImplementations)('RefreshTokenStore of $name', (implementation) => {
  const opened = useImplementation(implementation);

  async function newGrantId(): Promise<string> {
    const id = randomUUID();
    const { id: accountId } = await opened.server.account();
    const grant = { id, accountId, clientId: 'c', offline: false, consented: false, payload: {}, expiresAt: later() };
    await opened.grants.save(grant);
    return id;
  }

  async function savedToken(): Promise<NewRefreshToken> {
    const token = newToken(await newGrantId());
    expect(await opened.refreshTokens.save(token)).toBe(true);
    return token;
  }

  it('returns a saved token as unused', async () => {
    const token = await savedToken();
    const unused = { consumedAt: null, successorId: null, redeemedWith: null };
    expect(await opened.refreshTokens.find(token.id)).toMatchObject({ ...token, ...unused });
    expect(await opened.refreshTokens.find(randomUUID())).toBeUndefined();
  });

  it('does not save a token of a grant that does not exist', async () => {
    const token = newToken(randomUUID());
    expect(await opened.refreshTokens.save(token)).toBe(false);
    expect(await opened.refreshTokens.find(token.id)).toBeUndefined();
  });

  it('inserts a token within a transaction, and not when it rolls back', async () => {
    const grantId = await newGrantId();
    const [kept, lost] = [newToken(grantId), newToken(grantId)];
    const { db } = opened.server.base;
    await db.$transaction((tx) => opened.refreshTokens.insert(kept, tx));
    const rolledBack = db.$transaction(async (tx) => {
      await opened.refreshTokens.insert(lost, tx);
      expect(await opened.refreshTokens.find(lost.id, tx)).toMatchObject({ id: lost.id });
      throw new Error('roll back');
    });
    await expect(rolledBack).rejects.toThrow('roll back');
    expect(await opened.refreshTokens.find(kept.id)).toMatchObject({ id: kept.id });
    expect(await opened.refreshTokens.find(lost.id)).toBeUndefined();
  });

  it('rotates an unused token: consumes it, stores the successor and updates the grant', async () => {
    const token = await savedToken();
    const successor = newToken(token.grantId);
    expect(await opened.refreshTokens.rotateUnused(token.id, successor, 'thumbprint')).toBe(true);
    expect(await opened.refreshTokens.find(token.id)).toMatchObject({
      consumedAt: expect.any(Date),
      successorId: successor.id,
      redeemedWith: 'thumbprint',
    });
    expect(await opened.refreshTokens.find(successor.id)).toMatchObject({ ...successor, consumedAt: null });
    expect((await opened.grants.find(token.grantId))?.lastUsedAt).toBeInstanceOf(Date);
  });

  it('does not rotate a token that was consumed, and changes neither token', async () => {
    const token = await savedToken();
    const [first, second] = [newToken(token.grantId), newToken(token.grantId)];
    await opened.refreshTokens.rotateUnused(token.id, first, null);
    const before = await opened.refreshTokens.find(token.id);
    expect(await opened.refreshTokens.rotateUnused(token.id, second, 'thumbprint')).toBe(false);
    expect(await opened.refreshTokens.find(token.id)).toEqual(before);
    expect(await opened.refreshTokens.find(second.id)).toBeUndefined();
  });

  it('does not rotate a token that does not exist, or belongs to another grant', async () => {
    const token = await savedToken();
    const [orphan, ofOtherGrant, missing] = [
      newToken(randomUUID()),
      newToken(await newGrantId()),
      newToken(token.grantId),
    ];
    expect(await opened.refreshTokens.rotateUnused(token.id, orphan, null)).toBe(false);
    expect(await opened.refreshTokens.rotateUnused(token.id, ofOtherGrant, null)).toBe(false);
    expect(await opened.refreshTokens.rotateUnused(randomUUID(), missing, null)).toBe(false);
    for (const { id } of [orphan, ofOtherGrant, missing]) expect(await opened.refreshTokens.find(id)).toBeUndefined();
    expect(await opened.refreshTokens.find(token.id)).toMatchObject({ consumedAt: null });
  });

  it('lets one of 20 concurrent calls rotate a token', async () => {
    const token = await savedToken();
    const successors = Array.from({ length: 20 }, () => newToken(token.grantId));
    const rotated = await concurrently(20, (n) => opened.refreshTokens.rotateUnused(token.id, successors[n]!, null));
    expect(rotated.filter(Boolean)).toHaveLength(1);
    const stored = await Promise.all(successors.map(({ id }) => opened.refreshTokens.find(id)));
    expect(stored.filter(Boolean)).toHaveLength(1);
  });

  it('leaves no token when rotations and the deletion of the grant run concurrently', async () => {
    const token = await savedToken();
    const successors = Array.from({ length: 10 }, () => newToken(token.grantId));
    const { db } = opened.server.base;
    await Promise.all([
      ...successors.map((successor) => opened.refreshTokens.rotateUnused(token.id, successor, null)),
      db.$transaction((tx) => opened.grants.deleteWhere({ id: token.grantId }, tx)),
    ]);
    expect(await db.refreshToken.count({ where: { grantId: token.grantId } })).toBe(0);
  });

  it('marks a token as consumed, and reports a missing token', async () => {
    const token = await savedToken();
    const { db } = opened.server.base;
    const consumption = { consumedAt: new Date(), successorId: null, redeemedWith: 'thumbprint' };
    expect(await db.$transaction((tx) => opened.refreshTokens.markConsumed(token.id, consumption, tx))).toBe(true);
    expect(await opened.refreshTokens.find(token.id)).toMatchObject(consumption);
    expect(await db.$transaction((tx) => opened.refreshTokens.markConsumed(randomUUID(), consumption, tx))).toBe(false);
  });

  it('reports expired tokens only', async () => {
    const token = await savedToken();
    const expired = { ...newToken(token.grantId), expiresAt: addSeconds(new Date(), -1) };
    await opened.refreshTokens.save(expired);
    expect(await opened.refreshTokens.hasExpired(token.id)).toBe(false);
    expect(await opened.refreshTokens.hasExpired(expired.id)).toBe(true);
    expect(await opened.refreshTokens.hasExpired(randomUUID())).toBe(false);
  });

  it('removes a token, and ignores one that does not exist', async () => {
    const token = await savedToken();
    await opened.refreshTokens.remove(token.id);
    expect(await opened.refreshTokens.find(token.id)).toBeUndefined();
    await expect(opened.refreshTokens.remove(token.id)).resolves.toBeUndefined();
  });
});
