/** Lists the agents of a user's organizations, replaces their keys and deletes them. */
import type Router from '@koa/router';
import { z } from 'zod';
import type { Clock } from '../../base/clock.js';
import type { Agent } from '../../core/agents/active-agents.js';
import type { Core } from '../../core/core.js';
import type { OrganizationOfMember } from '../../core/organizations/organizations.js';
import { isAtLeast } from '../../core/organizations/roles.js';
import { parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { describeAge } from '../pages/format.js';
import type { Views } from '../pages/views.js';
import type { AgentRow } from './agent-view-models.js';
import { type Guards, sessionOf } from './guards.js';
import type { AccountPages } from './view-models.js';

interface Deps extends Pick<Core, 'agents' | 'organizations'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

const PAGE = '/account/agents';
const ConfirmForm = z.object({ csrf: z.string() });
const NOTICES: Record<string, string | undefined> = {
  ended: 'The agent was deleted.',
};

export function addAgents(router: Router<State>, deps: Deps): void {
  const { agents, organizations, clock, csrf, guards, views } = deps;
  const { requireLogin } = guards;
  const requireRecentAuthentication = guards.requireRecentAuthentication();
  router.get(PAGE, requireLogin, show);
  router.get(`${PAGE}/:id/replace-key`, requireRecentAuthentication, confirmReplacement);
  router.post(`${PAGE}/:id/replace-key`, requireRecentAuthentication, parseForm, replaceKey);
  router.get(`${PAGE}/:id/end`, requireLogin, confirmEnd);
  // Requires no recent authentication, like the API: a user who sees a suspicious agent must be
  // able to delete it immediately.
  router.post(`${PAGE}/:id/end`, requireLogin, parseForm, end);

  async function show(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const places = await organizations.listFor(accountId);
    ctx.body = views.render('account/agents', {
      csrfToken: csrf.tokenFor(ctx),
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
      agents: (await agents.listFor({ accountId })).map((agent) => toRow(agent, accountId, places, clock.now())),
    });
  }

  async function confirmReplacement(ctx: Context): Promise<void> {
    ctx.body = views.render('account/replace-agent-key', await aboutManaged(ctx));
  }

  /** Renders the response to the form itself. A redirect would have to store the key. */
  async function replaceKey(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ConfirmForm).csrf);
    const { member, agent } = await named(ctx);
    const { key } = await agents.rotateKey({ member }, agent, ctx.state.meta);
    ctx.status = 201;
    ctx.body = views.render('account/agent-key', { csrfToken: csrf.tokenFor(ctx), name: agent.name, key });
  }

  async function confirmEnd(ctx: Context): Promise<void> {
    ctx.body = views.render('account/end-agent', await aboutManaged(ctx));
  }

  async function end(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ConfirmForm).csrf);
    const { member, agent } = await named(ctx);
    await agents.remove({ member }, agent, ctx.state.meta);
    seeOther(ctx, `${PAGE}?notice=ended`);
  }

  /** Shows no confirmation page to a user who cannot do this. */
  async function aboutManaged(ctx: Context) {
    const { member, agent } = await named(ctx);
    await organizations.requireMember(member, agent.organizationId, 'admin');
    const places = await organizations.listFor(member.accountId);
    return { csrfToken: csrf.tokenFor(ctx), agent: toRow(agent, member.accountId, places, clock.now()) };
  }

  async function named(ctx: Context) {
    const member = { accountId: sessionOf(ctx).account.id };
    return { member, agent: await agents.findFor({ member }, ctx.params.id) };
  }
}

function toRow(agent: Agent, accountId: string, places: OrganizationOfMember[], now: Date): AgentRow {
  const { id, agentId, name, organizationId, capabilities, owner, createdAt } = agent;
  const place = places.find((candidate) => candidate.id === organizationId);
  return {
    ...{ id, agentId, name, capabilities },
    organization: place?.name ?? organizationId,
    yours: owner?.id === accountId,
    answeredFor: owner !== undefined,
    managed: place !== undefined && isAtLeast(place.role, 'admin'),
    made: describeAge(createdAt, now),
  };
}
