// Changes with a lasting effect: none is made in a session that was ended after the request was
// authenticated.
import { randomUUID } from 'node:crypto';
import { TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { ExternalLogin } from '../../../src/core/federation/provider.js';
import type { AuthenticatedSession } from '../../../src/core/sessions/sessions.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const NEW_KEY = { name: 'k', format: 'sk_live', lifeSeconds: null } as const;
const NEW_AGENT = { agentId: 'a', name: 'A', capabilities: ['read:cap-table'] };
const externalLogin = () => {
  const provider = { id: 'github', name: 'GitHub' };
  return { provider, issuer: 'https://github.com', subject: randomUUID() } as unknown as ExternalLogin;
};
const ACCESS = { scopes: ['openid'], claims: [], resources: {} };

describe.each(stores)('a user whose session has ended, on $name', (store) => {
  let server: TestServer;
  let user: AuthenticatedSession;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    const account = await server.account();
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    user = { account, session, amr: ['pwd'] };
  });

  /** Each returns an operation, which it prepares while the session is active. */
  const operations: Record<string, () => Promise<() => Promise<unknown>>> = {
    'create an API key': async () => () => server.core.apiKeys.create(user, NEW_KEY, systemMeta),
    'rotate an API key': async () => {
      const { record } = await server.core.apiKeys.create(user, NEW_KEY, systemMeta);
      return () => server.core.apiKeys.rotate(user, record.id, 0, systemMeta);
    },
    'create an agent': async () => {
      const organizationId = await server.core.organizations.personalOrganizationId(user.account.id);
      return () => server.core.agents.onboarding.onboardInto(organizationId, user, NEW_AGENT, systemMeta);
    },
    'replace the key of an agent': async () => {
      const organizationId = await server.core.organizations.personalOrganizationId(user.account.id);
      const { agent } = await server.core.agents.onboarding.onboardInto(organizationId, user, NEW_AGENT, systemMeta);
      return () => server.core.agents.rotateKey({ member: { accountId: user.account.id }, user }, agent, systemMeta);
    },
    'claim an agent': async () => {
      const { claimToken } = await server.core.agents.onboarding.onboardUnclaimed(NEW_AGENT, systemMeta);
      return () => server.core.ownershipClaims.claim(claimToken, user, systemMeta);
    },
    'link an external identity': async () => () => server.core.links.link(user, externalLogin(), systemMeta),
    'consent to an app': async () => () => server.core.consents.grant(user, 'c', ACCESS, systemMeta),
    'set up a second factor': async () => {
      const { secret } = await server.core.mfa.beginEnrollment(user.account);
      return () => server.core.mfa.confirmEnrollment(user, new TOTP({ secret }).generate(), systemMeta);
    },
    'remove a second factor': async () => {
      await enroll();
      return () => server.core.mfa.remove(user, systemMeta);
    },
    'replace the recovery codes': async () => {
      await enroll();
      return () => server.core.mfa.regenerateRecoveryCodes(user, systemMeta);
    },
    'change the password': async () => () =>
      server.core.passwordReset.setFirstPassword(
        { ...user, account: { ...user.account, passwordHash: null } },
        'another long password',
        systemMeta,
      ),
  };

  async function enroll() {
    const { secret } = await server.core.mfa.beginEnrollment(user.account);
    await server.core.mfa.confirmEnrollment(user, new TOTP({ secret }).generate(), systemMeta);
  }

  it.each(Object.keys(operations))('cannot %s', async (name) => {
    const operation = await operations[name]!();
    await server.core.sessions.revoke(user.session.id, 'revoked', systemMeta);
    const before = await rowsOf(user.account.id);
    await expect(operation()).rejects.toMatchObject({ status: 401, code: 'invalid_token' });
    expect(await rowsOf(user.account.id)).toEqual(before);
  });

  it.each(Object.keys(operations))('could %s before', async (name) => {
    const operation = await operations[name]!();
    await operation();
  });

  async function rowsOf(accountId: string) {
    const { db } = server.base;
    const where = { accountId };
    return {
      keys: await db.apiKey.findMany({ where }),
      agents: await db.agent.findMany({ where: { ownerId: accountId } }),
      consents: await db.consent.findMany({ where }),
      factors: await db.totpFactor.findMany({ where }),
      codes: await db.recoveryCode.findMany({ where }),
      links: await db.federatedIdentity.findMany({ where }),
      account: await db.account.findUnique({ where: { id: accountId } }),
    };
  }
});
