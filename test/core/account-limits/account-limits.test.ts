// The limits of what one account can have, also with concurrent requests.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { Account } from '../../../src/core/accounts/accounts.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const settings = { MAX_AGENTS: '3', MAX_API_KEYS: '3', MAX_ORGANIZATIONS: '3', MAX_PROJECTS: '3', MAX_UNVERIFIED: '2' };
let number = 0;

describe.each(stores)('an account on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings });
  });
  afterAll(() => server.close());

  const organizationOf = (account: Account) => server.core.organizations.personalOrganizationId(account.id);

  /** Each creates one object of a kind. */
  const creations: Record<string, (account: Account) => Promise<unknown>> = {
    'active keys': (account) =>
      server.core.apiKeys.create({ account }, { name: 'k', format: 'sk_live', lifeSeconds: null }, systemMeta),
    agents: async (account) => {
      const agent = { agentId: `agent-${number++}`, name: 'A', capabilities: ['read:cap-table'] };
      return server.core.agents.onboarding.onboardInto(await organizationOf(account), { account }, agent, systemMeta);
    },
    organizations: (account) => server.core.organizations.create(account.id, 'Acme', systemMeta),
    projects: async (account) =>
      server.core.projects.create({ accountId: account.id }, await organizationOf(account), 'P', systemMeta),
  };

  it.each(Object.keys(creations))('has a limited number of %s', async (kind) => {
    const account = await server.account();
    await server.base.db.account.update({ where: { id: account.id }, data: { emailVerified: true } });
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => creations[kind]!(account)));
    const personal = kind === 'organizations' ? 1 : 0;
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3 - personal);
    for (const result of results.filter(({ status }) => status === 'rejected')) {
      expect(result).toMatchObject({ reason: { status: 409, message: `An account can have at most 3 ${kind}.` } });
    }
  });

  it.each(Object.keys(creations))('has fewer %s while its e-mail address is not verified', async (kind) => {
    const account = await server.account();
    const create = creations[kind]!;
    await create(account);
    if (kind !== 'organizations') await create(account);
    await expect(create(account)).rejects.toMatchObject({
      status: 409,
      message: `An account can have at most 2 ${kind}. Verify your e-mail address to have more.`,
    });
  });

  it('cannot claim an agent above the limit', async () => {
    const account = await server.account();
    await creations.agents!(account);
    await creations.agents!(account);
    const wanted = { agentId: 'unclaimed', name: 'A', capabilities: ['read:cap-table'] };
    const { claimToken } = await server.core.agents.onboarding.onboardUnclaimed(wanted, systemMeta);
    await expect(server.core.ownershipClaims.claim(claimToken, { account }, systemMeta)).rejects.toMatchObject({
      status: 409,
    });
  });
});
