/** The contract of every `EphemeralStore`. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../src/base/clock.js';
import type { EphemeralStore } from '../../../src/core/oauth-storage/stores.js';
import { concurrently } from '../../support/token-family.js';
import { ephemeralImplementations, useImplementation } from './implementations.js';

const inSeconds = (seconds: number) => addSeconds(new Date(), seconds);
const later = () => inSeconds(60);

describe.each(ephemeralImplementations)('EphemeralStore of $name', (implementation) => {
  const opened = useImplementation(implementation);
  const store = new Proxy({} as EphemeralStore, {
    get: (_target, name: keyof EphemeralStore) => opened.ephemeral[name],
  });

  it('returns what was put, by kind and id', async () => {
    const id = randomUUID();
    const payload = { a: 1, b: ['ü', null, { c: true }] };
    await store.put('One', id, payload, { expiresAt: later() });
    expect(await store.get('One', id)).toEqual({ id, payload, consumedAt: undefined });
    expect(await store.get('Other', id)).toBeUndefined();
    expect(await store.get('One', randomUUID())).toBeUndefined();
  });

  it('keeps an entry consumed when it is overwritten', async () => {
    const id = randomUUID();
    await store.put('One', id, { n: 1 }, { expiresAt: later() });
    expect(await store.consume('One', id)).toBe(true);
    await store.put('One', id, { n: 2 }, { expiresAt: later() });
    expect(await store.get('One', id)).toMatchObject({ payload: { n: 2 }, consumedAt: expect.any(Date) });
    expect(await store.consume('One', id)).toBe(false);
  });

  it('finds an entry by uid and by user code, within its kind, until it is removed', async () => {
    const [id, uid, userCode] = [randomUUID(), randomUUID(), randomUUID()];
    await store.put('One', id, { n: 1 }, { expiresAt: later(), uid, userCode });
    expect((await store.getByUid('One', uid))?.id).toBe(id);
    expect((await store.getByUserCode('One', userCode))?.id).toBe(id);
    expect(await store.getByUid('Other', uid)).toBeUndefined();
    expect(await store.getByUserCode('Other', userCode)).toBeUndefined();
    expect(await store.getByUid('One', userCode)).toBeUndefined();
    await store.remove('One', id);
    expect(await store.getByUid('One', uid)).toBeUndefined();
    expect(await store.getByUserCode('One', userCode)).toBeUndefined();
  });

  it('keeps uid and user code when an entry is overwritten without them', async () => {
    const [id, uid, userCode] = [randomUUID(), randomUUID(), randomUUID()];
    await store.put('One', id, { n: 1 }, { expiresAt: later(), uid, userCode });
    await store.put('One', id, { n: 2 }, { expiresAt: later() });
    expect((await store.getByUid('One', uid))?.payload).toEqual({ n: 2 });
    expect((await store.getByUserCode('One', userCode))?.payload).toEqual({ n: 2 });
  });

  it('lets one of 50 concurrent calls consume an entry', async () => {
    const id = randomUUID();
    await store.put('One', id, {}, { expiresAt: later() });
    const results = await concurrently(50, () => store.consume('One', id));
    expect(results.filter(Boolean)).toHaveLength(1);
  });

  it('replaces the payload of a consumed entry, by the first of 20 concurrent calls only', async () => {
    const [id, userCode] = [randomUUID(), randomUUID()];
    await store.put('One', id, { kept: 1, dropped: 'x' }, { expiresAt: later(), userCode });
    const consumers = Array.from({ length: 20 }, (_, n) => n);
    const results = await Promise.all(consumers.map((n) => store.consume('One', id, { kept: n })));
    const winner = results.indexOf(true);
    expect(results.filter(Boolean)).toHaveLength(1);
    const consumed = { id, payload: { kept: winner }, consumedAt: expect.any(Date) };
    expect(await store.get('One', id)).toEqual(consumed);
    expect(await store.getByUserCode('One', userCode)).toEqual(consumed);
  });

  it('keeps the payload of a consumed entry without a replacement', async () => {
    const id = randomUUID();
    await store.put('One', id, { n: 1 }, { expiresAt: later() });
    expect(await store.consume('One', id)).toBe(true);
    expect((await store.get('One', id))?.payload).toEqual({ n: 1 });
  });

  it('does not consume an entry that is missing, removed or expired', async () => {
    expect(await store.consume('One', randomUUID())).toBe(false);
    const removed = randomUUID();
    await store.put('One', removed, {}, { expiresAt: later() });
    await store.remove('One', removed);
    expect(await store.consume('One', removed)).toBe(false);
    expect(await store.get('One', removed)).toBeUndefined();
    const expired = randomUUID();
    await store.put('One', expired, {}, { expiresAt: inSeconds(0.05) });
    await sleep(80);
    expect(await store.consume('One', expired)).toBe(false);
  });

  it('does not find an expired entry by id, uid or user code', async () => {
    const [id, uid, userCode] = [randomUUID(), randomUUID(), randomUUID()];
    await store.put('One', id, {}, { expiresAt: inSeconds(0.05), uid, userCode });
    await sleep(80);
    expect(await store.get('One', id)).toBeUndefined();
    expect(await store.getByUid('One', uid)).toBeUndefined();
    expect(await store.getByUserCode('One', userCode)).toBeUndefined();
  });

  it('lets one of 50 concurrent calls use an id', async () => {
    const id = randomUUID();
    const results = await concurrently(50, () => store.useOnce('Mark', id, later()));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await store.useOnce('Mark', id, later())).toBe(false);
  });

  it('lets one of 50 concurrent calls use an id again after it has expired', async () => {
    const id = randomUUID();
    expect(await store.useOnce('Mark', id, inSeconds(0.05))).toBe(true);
    await sleep(80);
    const results = await concurrently(50, () => store.useOnce('Mark', id, later()));
    expect(results.filter(Boolean)).toHaveLength(1);
  });

  it('lets the same id be used once for each kind', async () => {
    const id = randomUUID();
    expect(await store.useOnce('Mark', id, later())).toBe(true);
    expect(await store.useOnce('Other', id, later())).toBe(true);
  });

  it('ignores the removal of an entry that does not exist', async () => {
    await expect(store.remove('One', randomUUID())).resolves.toBeUndefined();
  });
});
