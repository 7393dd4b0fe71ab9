/** Claims about agents in access tokens, and the limit that an agent sets on their lifetime. */
import type { KoaContextWithOIDC, Client as ProviderClient } from 'oidc-provider';
import { type Clock, epochSeconds } from '../../../base/clock.js';
import type { Core } from '../../../core/core.js';
import { actorClaims } from '../features/ciba.js';
import { delegationClaims } from '../grants/token-exchange.js';
import { agentOf } from '../storage/client-adapter.js';

/** Returns the functions that `configuration.ts` calls for each access token. */
export function createAgentTokens({ audiences, clock }: Pick<Core, 'audiences'> & { clock: Clock }) {
  return { claims, maxSeconds };

  /**
   * Returns the claims about agents: the members of an agent's own token, `act` for delegation, and
   * `may_act` if the user allowed exactly one agent to act.
   */
  function claims(ctx: KoaContextWithOIDC, token: { client?: ProviderClient; aud?: unknown }) {
    const {
      capabilities: _capabilities,
      endsAt: _endsAt,
      ...agentMembers
    } = agentOf(token.client) ?? { capabilities: [] };
    const grantedResources = Object.keys((ctx.oidc.entities.Grant?.resources as object | undefined) ?? {});
    const agents = grantedResources.filter((identifier) => audiences.agentIn(identifier) && identifier !== token.aud);
    const mayAct = agents.length === 1 && token.aud ? { may_act: { sub: audiences.agentIn(agents[0]!) } } : {};
    const all = { ...agentMembers, ...mayAct, ...actorClaims(token as never), ...delegationClaims(token) };
    return Object.keys(all).length > 0 ? all : undefined;
  }

  /**
   * Caps a token's lifetime at the agent's expiry, with a minimum of one second. Expired agents are
   * rejected earlier.
   */
  function maxSeconds(client: ProviderClient): number {
    const { endsAt = Number.POSITIVE_INFINITY } = agentOf(client) ?? {};
    return Math.max(1, endsAt - epochSeconds(clock.now()));
  }
}
