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
import { nextPageUrl, pageOf } from '../pages/paging.js';
import type { Views } from '../pages/views.js';
import type { AgentView } from './agent-view-models.js';
import { type Guards, sessionOf } from './guards.js';
import type { AccountPages } from './view-models.js';

interface Deps extends Pick<Core, 'agents' | 'organizations'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

const AGENTS_PATH = '/account/agents';
const CsrfForm = z.object({ csrf: z.string() });
/** Notices by the value of `?notice=`. */
const NOTICES: Record<string, string | undefined> = {
  deleted: 'The agent was deleted.',
};

/** Adds the routes of these pages. */
export function addAgents(router: Router<State>, deps: Deps): void {
  const { agents, organizations, clock, csrf, guards, views } = deps;
  const { requireLogin } = guards;
  const requireRecentAuthentication = guards.requireRecentAuthentication();
  router.get(AGENTS_PATH, requireLogin, show);
  router.get(`${AGENTS_PATH}/:id/replace-key`, requireRecentAuthentication, confirmReplacement);
  router.post(`${AGENTS_PATH}/:id/replace-key`, requireRecentAuthentication, parseForm, replaceKey);
  router.get(`${AGENTS_PATH}/:id/end`, requireLogin, confirmDeletion);
  // Requires no recent authentication, like the API: a user who sees a suspicious agent must be
  // able to delete it immediately.
  router.post(`${AGENTS_PATH}/:id/end`, requireLogin, parseForm, deleteAgent);

  async function show(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const memberships = await organizations.listFor(accountId);
    const shown = await agents.listFor({ accountId }, pageOf(ctx));
    ctx.body = views.render('account/agents', {
      csrfToken: csrf.tokenFor(ctx),
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
      agents: shown.items.map((agent) => toAgentView(agent, accountId, memberships, clock.now())),
      more: nextPageUrl(shown, AGENTS_PATH),
    });
  }

  async function confirmReplacement(ctx: Context): Promise<void> {
    ctx.body = views.render('account/replace-agent-key', await confirmationValues(ctx));
  }

  /** Renders the response to the form itself. A redirect would have to store the key. */
  async function replaceKey(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    const { actor, agent } = await findAgent(ctx);
    const { key } = await agents.rotateKey(actor, agent, ctx.state.meta);
    ctx.status = 201;
    ctx.body = views.render('account/agent-key', { csrfToken: csrf.tokenFor(ctx), name: agent.name, key });
  }

  async function confirmDeletion(ctx: Context): Promise<void> {
    ctx.body = views.render('account/delete-agent', await confirmationValues(ctx));
  }

  async function deleteAgent(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    const { actor, agent } = await findAgent(ctx);
    await agents.remove(actor, agent, ctx.state.meta);
    seeOther(ctx, `${AGENTS_PATH}?notice=deleted`);
  }

  /**
   * Returns the values of a confirmation page. Throws `AppError` if the user is not an
   * administrator of the agent's organization, so that no page offers what the form would reject.
   */
  async function confirmationValues(ctx: Context) {
    const { actor, agent } = await findAgent(ctx);
    const { member } = actor;
    await organizations.requireMember(member, agent.organizationId, 'admin');
    const memberships = await organizations.listFor(member.accountId);
    return { csrfToken: csrf.tokenFor(ctx), agent: toAgentView(agent, member.accountId, memberships, clock.now()) };
  }

  /** Returns the agent in the URL. Throws `AppError` `not_found` unless this user can see it. */
  async function findAgent(ctx: Context) {
    const user = sessionOf(ctx);
    const actor = { member: { accountId: user.account.id }, user };
    return { actor, agent: await agents.findFor(actor, ctx.params.id) };
  }
}

function toAgentView(agent: Agent, accountId: string, memberships: OrganizationOfMember[], now: Date): AgentView {
  const { id, agentId, name, organizationId, capabilities, owner, createdAt } = agent;
  const membership = memberships.find((candidate) => candidate.id === organizationId);
  return {
    ...{ id, agentId, name, capabilities },
    // The user may have left the organization in the meantime.
    organization: membership?.name ?? organizationId,
    isOwner: owner?.id === accountId,
    hasOwner: owner !== undefined,
    canManage: membership !== undefined && isAtLeast(membership.role, 'admin'),
    created: describeAge(createdAt, now),
  };
}
