/**
 * What we ask of a client differently from oidc-provider: its secret by hash, and loopback
 * redirects whatever their port.
 */
import type { Client } from 'oidc-provider';
import type { ActiveAgents } from '../../../core/agents/active-agents.js';
import type { Clients } from '../../../core/clients/clients.js';
import { sameLoopback } from '../../../core/clients/metadata.js';
import type { ProviderInternals } from '../provider-internals.js';
import { agentOf } from '../storage/client-adapter.js';

interface Deps {
  clients: Pick<Clients, 'isSecret'>;
  activeAgents: Pick<ActiveAgents, 'findByKey'>;
}

export function patchClientAuthentication(internals: ProviderInternals, { clients, activeAgents }: Deps): void {
  const { prototype } = internals.Client;

  prototype.compareClientSecret = function compareClientSecret(actual) {
    if (agentOf(this)) return isKeyOf(this.clientId, actual);
    return clients.isSecret(actual, this.clientSecret);
  };
  prototype.redirectUriAllowed = function redirectUriAllowed(value) {
    return isAllowed(value, this.redirectUris);
  };
  prototype.postLogoutRedirectUriAllowed = function postLogoutRedirectUriAllowed(value) {
    return isAllowed(value, this.postLogoutRedirectUris);
  };

  /** An agent's secret is its key, and keys are compared in one place. */
  async function isKeyOf(clientId: string, key: string): Promise<boolean> {
    const agent = await activeAgents.findByKey(key);
    return agent !== undefined && agent !== 'expired' && agent.id === clientId;
  }
}

/** Whether a page of this origin may be this client: it has a redirect there. */
export function livesAt(client: Pick<Client, 'redirectUris'>, origin: string): boolean {
  if (!URL.canParse(origin)) return false; // 'null', of a sandbox or a file
  return isAllowed(
    `${origin}/`,
    (client.redirectUris ?? []).map((uri) => `${new URL(uri).origin}/`),
  );
}

/**
 * Exactly one of them; of a loopback one the port may differ (RFC 8252, 7.3), for MCP and CLI
 * clients take a free one each time.
 */
function isAllowed(value: string, registered: readonly string[] | undefined): boolean {
  if (!registered) return false;
  return registered.includes(value) || registered.some((uri) => sameLoopback(value, uri));
}
