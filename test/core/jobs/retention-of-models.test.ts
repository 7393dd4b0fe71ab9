// How the rows of each model go away. A new model fails until it is added here.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addSeconds, DAY_SECONDS, HOUR_SECONDS } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { AGENT } from '../../support/agents.js';
import { movableClock } from '../../support/movable-clock.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

/** The parents and the expiry of a row. */
interface World {
  server: TestServer;
  accountId: string;
  organizationId: string;
  /** An hour from now. */
  expiresAt: Date;
}

type Rule =
  /** The cleanup job deletes the row after this time. `create` returns a filter for a new row. */
  | { after: number; create: (world: World) => Promise<object> }
  /** The row is deleted with another one. `bound` limits the rows of one parent. */
  | { with: string; bound?: string }
  /** Only administrators create rows, or their number is fixed. */
  | { keptBecause: string };

const soon = HOUR_SECONDS;
const grantOf = ({ accountId }: World, id: string, expiresAt: Date) => ({
  ...{ id, accountId, clientId: 'c', payload: {}, expiresAt },
});
const onboardUnclaimed = ({ server }: World, agentId: string) =>
  server.core.agents.onboarding.onboardUnclaimed(
    { agentId, name: agentId, capabilities: AGENT.capabilities },
    systemMeta,
  );

const RULES: Record<string, Rule> = {
  Account: {
    after: 30 * DAY_SECONDS, // if the user signed up and never verified the address
    create: async ({ server }) => {
      const { id } = await server.account('unverified@example.com');
      await server.base.db.account.update({ where: { id }, data: { expiresUnverified: true } });
      return { id };
    },
  },
  Organization: {
    after: 7 * DAY_SECONDS, // that of an unclaimed agent; others: MAX_ORGANIZATIONS
    create: async (world) => ({ id: (await onboardUnclaimed(world, 'first')).agent.organizationId }),
  },
  Agent: {
    after: 7 * DAY_SECONDS, // an unclaimed one; others: MAX_AGENTS
    create: async (world) => ({ id: (await onboardUnclaimed(world, 'second')).agent.id }),
  },
  Invitation: {
    after: soon,
    create: async ({ server, accountId: invitedById, organizationId, expiresAt }) =>
      server.base.db.invitation
        .create({ data: { organizationId, email: 'e', role: 'viewer', tokenHash: 'h', invitedById, expiresAt } })
        .then(({ id }) => ({ id })),
  },
  Approval: {
    after: soon,
    create: async (world) => {
      const { server, accountId, expiresAt } = world;
      const { agent } = await onboardUnclaimed(world, 'third');
      const ids = { id: 'approval', requestId: 'r', agentId: agent.id, accountId, grantId: 'g', bindingMessage: '' };
      const data = { ...ids, request: {}, grantPayload: {}, createdAt: new Date(), expiresAt };
      return { id: (await server.base.db.approval.create({ data })).id };
    },
  },
  Session: {
    after: soon + 90 * DAY_SECONDS, // the history of sign-ins
    create: async ({ server, accountId, expiresAt }) => {
      const data = { accountId, channel: 'browser', authTime: new Date(), amr: [], expiresAt };
      return { id: (await server.base.db.session.create({ data })).id };
    },
  },
  Client: {
    after: 7 * DAY_SECONDS, // a registered one that was never used; others: IDLE_CLIENT_TTL
    create: async ({ server }) => {
      const data = { id: 'client', metadata: {}, origin: 'registration', createdAt: server.base.clock.now() };
      return { id: (await server.base.db.client.create({ data })).id };
    },
  },
  Grant: {
    after: soon,
    create: async (world) => {
      await world.server.base.db.grant.create({ data: grantOf(world, 'grant', world.expiresAt) });
      return { id: 'grant' };
    },
  },
  RefreshToken: {
    after: soon,
    create: async (world) => {
      const { db } = world.server.base;
      await db.grant.create({ data: grantOf(world, 'far', addSeconds(world.expiresAt, 900 * DAY_SECONDS)) });
      const data = { id: 'refresh-token', grantId: 'far', payload: {}, expiresAt: world.expiresAt };
      return { id: (await db.refreshToken.create({ data })).id };
    },
  },
  OidcArtifact: {
    after: soon,
    create: async ({ server, expiresAt }) => {
      await server.base.db.oidcArtifact.create({ data: { kind: 'Interaction', id: 'i', payload: {}, expiresAt } });
      return { id: 'i' };
    },
  },
  OneTimeToken: {
    after: soon, // links, pending external logins, used challenges
    create: async ({ server, expiresAt }) => {
      await server.base.db.oneTimeToken.create({ data: { tokenHash: 'h', purpose: 'federated-login', expiresAt } });
      return { tokenHash: 'h' };
    },
  },
  SigningKey: {
    after: soon,
    create: async ({ server, expiresAt }) => {
      const { signingKey } = server.base.db;
      const { publicJwk, ...key } = await signingKey.findFirstOrThrow();
      const retired = { kid: 'k', retiredAt: new Date(0), expiresAt };
      await signingKey.create({ data: { ...key, publicJwk: publicJwk as object, ...retired } });
      return { kid: 'k' };
    },
  },
  AuditEvent: {
    after: 400 * DAY_SECONDS,
    create: async ({ server }) => {
      await server.core.audit.record(undefined, 'key.created', { by: { kind: 'system' }, clientId: 'audited' });
      return { clientId: 'audited' };
    },
  },
  RateLimit: {
    after: soon,
    create: async ({ server, expiresAt }) => {
      await server.base.db.rateLimit.create({ data: { key: 'k', expire: BigInt(expiresAt.getTime()) } });
      return { key: 'k' };
    },
  },
  Membership: { with: 'Organization' },
  Project: { with: 'Organization', bound: 'MAX_PROJECTS' },
  ApiKey: { with: 'Account', bound: 'MAX_API_KEYS' },
  Permission: { with: 'Account' },
  SessionClient: { with: 'Session' },
  Consent: { with: 'Account' },
  TotpFactor: { with: 'Account' },
  RecoveryCode: { with: 'Account' },
  FederatedIdentity: { with: 'Account' },
  StoredTokens: { with: 'FederatedIdentity' },
  ResourceScope: { with: 'Resource' },
  ResourceClient: { with: 'Resource' },
  Tool: { keptBecause: 'administrators create tools' },
  Resource: { keptBecause: 'administrators register APIs' },
  CacheVersion: { keptBecause: 'the code has a fixed number of topics' },
};

const schema = readFileSync(new URL('../../../prisma/schema.prisma', import.meta.url), 'utf8');
const blocks = new Map(
  [...schema.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)].map(([, name, text]) => [name!, text!]),
);
const settings = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

describe('every model', () => {
  it('has a rule for its rows', () => {
    expect(Object.keys(RULES).sort()).toEqual([...blocks.keys()].sort());
  });

  const dependent = Object.entries(RULES).flatMap(([model, rule]) => ('with' in rule ? [{ model, ...rule }] : []));
  it.each(dependent)('$model is deleted with $with', ({ model, with: parent, bound }) => {
    const field = parent.charAt(0).toLowerCase() + parent.slice(1);
    const relation = new RegExp(`^ +(${field}|identity) +${parent} +@relation\\(.*onDelete: Cascade\\)`, 'm');
    expect(blocks.get(model)).toMatch(relation);
    if (bound) expect(settings).toContain(`\`${bound}\``);
  });
});

describe.each(stores)('the cleanup job on $name', (store) => {
  let server: TestServer;
  const { clock, advance } = movableClock();
  beforeAll(async () => {
    // No mail is sent: the setting is a condition for the expiry of accounts.
    server = await startServer({ store, clock, settings: { SMTP_URL: 'smtp://127.0.0.1:9?tls=off' } });
  });
  afterAll(() => server.close());

  const expiring = Object.entries(RULES).flatMap(([model, rule]) => ('after' in rule ? [{ model, ...rule }] : []));
  it.each(expiring)('deletes the rows of $model after their time, and not before', async ({ model, after, create }) => {
    const { id: accountId } = await server.account();
    const organizationId = await server.core.organizations.personalOrganizationId(accountId);
    const expiresAt = addSeconds(clock.now(), HOUR_SECONDS);
    const where = await create({ server, accountId, organizationId, expiresAt });
    const delegate = `${model.charAt(0).toLowerCase()}${model.slice(1)}` as 'session';
    const count = () => server.base.db[delegate].count({ where: where as { id: string } });
    server.lines.length = 0;
    expect(await count()).toBe(1);
    advance((after - 60) * 1000);
    await server.core.cleanup.run();
    expect(await count()).toBe(1);
    advance(120 * 1000);
    await server.core.cleanup.run();
    expect(await count()).toBe(0);
    expect(server.lines.join()).not.toContain('the cleanup failed');
  });

  it('deletes more expired agents than one batch in one run', async () => {
    const { db } = server.base;
    const numbers = Array.from({ length: 1100 }, (_, n) => n);
    await db.organization.createMany({ data: numbers.map((n) => ({ id: `co_many-${n}`, name: 'Many' })) });
    const key = { keyId: 'k', keyPrefix: 'p', keyHash: 'h', capabilities: [], expiresAt: clock.now() };
    await db.agent.createMany({
      data: numbers.map((n) => ({
        ...{ id: `agt_many-${n}`, organizationId: `co_many-${n}`, agentId: 'a', name: 'Many', claimTokenHash: `c${n}` },
        ...key,
      })),
    });
    advance(1000);
    expect(await server.core.agents.sweep()).toBe(1100);
    expect(await db.organization.count({ where: { name: 'Many' } })).toBe(0);
  });

  it('deletes all expired audit events in one run, and none with AUDIT_EVENT_TTL=0s', async () => {
    const { db } = server.base;
    const at = clock.now();
    const row = { action: 'token.denied', actorKind: 'anonymous', at };
    await db.auditEvent.createMany({ data: Array.from({ length: 2500 }, () => ({ ...row })) });
    advance(401 * DAY_SECONDS * 1000);
    const keeping = await startServer({ sharedWith: server, clock, settings: { AUDIT_EVENT_TTL: '0s' } });
    await keeping.core.cleanup.sweepAll();
    expect(await db.auditEvent.count({ where: { at: { lte: at } } })).toBeGreaterThanOrEqual(2500);
    await keeping.close();
    await server.core.cleanup.sweepAll();
    expect(await db.auditEvent.count({ where: { at: { lte: at } } })).toBe(0);
  });
});
