/** The contract of every `ConsentReader`. */
import { describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { databaseImplementations, useImplementation } from './implementations.js';

describe.each(databaseImplementations)('ConsentReader of $name', (implementation) => {
  const opened = useImplementation(implementation);

  it('returns the granted access of an account and a client', async () => {
    const account = await opened.server.account();
    const { id } = account;
    const scopes = { scopes: ['openid'], claims: ['name'], resources: { r: ['a', 'ü'] } };
    await opened.server.core.consents.grant({ account }, 'c', scopes, systemMeta);
    expect(await opened.consents.find(id, 'c')).toEqual({ scopes });
  });

  it('returns nothing without a consent, or after its revocation', async () => {
    const account = await opened.server.account();
    const { id } = account;
    const { consents } = opened.server.core;
    expect(await opened.consents.find(id, 'c')).toBeUndefined();
    await consents.grant({ account }, 'c', { scopes: ['openid'], claims: [], resources: {} }, systemMeta);
    expect(await opened.consents.find(id, 'other')).toBeUndefined();
    await consents.revoke(id, 'c', systemMeta);
    expect(await opened.consents.find(id, 'c')).toBeUndefined();
  });
});
