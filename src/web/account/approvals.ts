/** Approval requests from agents. Viewing and deciding require recent authentication. */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { AgentAction, Approval } from '../../core/agent-authorization/approval.js';
import type { Core } from '../../core/core.js';
import { parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { describeAge, describeTimeLeft } from '../pages/format.js';
import { nextPageUrl, pageOf } from '../pages/paging.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import type { AccountPages, ActionView, ApprovalRequestView } from './view-models.js';

interface Deps extends Pick<Core, 'approvals' | 'resources'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

const APPROVALS_PATH = '/account/approvals';
const DecisionForm = z.object({ csrf: z.string(), decision: z.enum(['approve', 'deny']) });

/** Notices by the value of `?notice=`. */
const NOTICES: Record<string, string | undefined> = {
  approve: 'Approved. The agent can now do this once, within 5 minutes.',
  deny: 'Denied. The agent is notified.',
  late: 'This request has already been decided or has expired. Nothing was changed.',
};

/** Adds the routes of this page. */
export function addApprovals(router: Router<State>, { approvals, resources, clock, csrf, guards, views }: Deps): void {
  const requireRecentAuthentication = guards.requireRecentAuthentication(APPROVALS_PATH);
  router.get(APPROVALS_PATH, requireRecentAuthentication, show);
  router.post(`${APPROVALS_PATH}/:id`, requireRecentAuthentication, parseForm, decide);

  async function show(ctx: Context): Promise<void> {
    const { account } = sessionOf(ctx);
    const shown = await approvals.list(account, pageOf(ctx));
    ctx.body = views.render('account/approvals', {
      csrfToken: csrf.tokenFor(ctx),
      email: account.email,
      requests: shown.items.map(toRequestView),
      more: nextPageUrl(shown, APPROVALS_PATH),
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
    });
  }

  async function decide(ctx: Context): Promise<void> {
    const { csrf: token, decision } = readForm(ctx, DecisionForm);
    csrf.check(ctx, token);
    try {
      await approvals.decide(sessionOf(ctx), ctx.params.id, decision, ctx.state.meta);
      seeOther(ctx, `${APPROVALS_PATH}?notice=${decision}`);
    } catch (error) {
      if (!(error instanceof AppError) || ![404, 409].includes(error.status)) throw error;
      seeOther(ctx, `${APPROVALS_PATH}?notice=late`);
    }
  }

  function toRequestView({
    id,
    agent,
    bindingMessage,
    requested,
    createdAt,
    expiresAt,
  }: Approval): ApprovalRequestView {
    const { resource: identifier, scopes, actions } = requested;
    const now = clock.now();
    return {
      id,
      agent: { name: agent.name, agentId: agent.agentId, initial: [...agent.name][0]!.toUpperCase() },
      bindingMessage,
      actions: actions.map(toActionView),
      resource: { name: resources.find(identifier)?.name ?? identifier, identifier },
      scopes: scopes.map((scope) => ({ name: scope, description: resources.describe(scope, identifier) ?? scope })),
      requested: describeAge(createdAt, now),
      timeLeft: describeTimeLeft(expiresAt, now),
    };
  }
}

function toActionView({ actions, identifier, datatypes, parameters = {} }: AgentAction): ActionView {
  return {
    names: actions,
    details: [
      ...(identifier ? [{ name: 'On', value: identifier }] : []),
      ...(datatypes ? [{ name: 'Data', value: datatypes.join(', ') }] : []),
      ...Object.entries(parameters).map(([name, value]) => ({ name, value: String(value) })),
    ],
  };
}
