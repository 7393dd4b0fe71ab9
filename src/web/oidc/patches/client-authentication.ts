/** Compares client secrets by hash, and loopback redirect URIs without their port. */
import type { Client } from 'oidc-provider';
import type { ActiveAgents } from '../../../core/agents/active-agents.js';
import { sameLoopback } from '../../../core/clients/loopback-redirect.js';
import { isSecret } from '../../../core/clients/secrets.js';
import type { ProviderInternals } from '../provider-internals.js';
import { agentOf } from '../storage/client-adapter.js';

interface Deps {
  activeAgents: Pick<ActiveAgents, 'findByKey'>;
}

/** Patches `Client` of a provider. */
export function patchClientAuthentication(internals: ProviderInternals, { activeAgents }: Deps): void {
  const { prototype } = internals.Client;

  prototype.compareClientSecret = function compareClientSecret(actual) {
    if (agentOf(this)) return isKeyOf(this.clientId, actual);
    return isSecret(actual, this.clientSecret);
  };
  prototype.redirectUriAllowed = function redirectUriAllowed(value) {
    return isAllowed(value, this.redirectUris);
  };
  prototype.postLogoutRedirectUriAllowed = function postLogoutRedirectUriAllowed(value) {
    return isAllowed(value, this.postLogoutRedirectUris);
  };

  /** The secret of an agent is its agent key. */
  async function isKeyOf(clientId: string, key: string): Promise<boolean> {
    const agent = await activeAgents.findByKey(key);
    return agent !== undefined && agent !== 'expired' && agent.id === clientId;
  }
}

/** Reports whether the client has a redirect URI in this origin. */
export function hasOrigin(client: Pick<Client, 'redirectUris'>, origin: string): boolean {
  if (!URL.canParse(origin)) return false; // 'null', sent by sandboxed and local pages
  return isAllowed(
    `${origin}/`,
    (client.redirectUris ?? []).map((uri) => `${new URL(uri).origin}/`),
  );
}

/**
 * Reports whether a URI equals a registered one. The port of a loopback URI can differ (RFC 8252,
 * 7.3), because MCP and CLI clients listen on any free port.
 */
function isAllowed(value: string, registered: readonly string[] | undefined): boolean {
  if (!registered) return false;
  return registered.includes(value) || registered.some((uri) => sameLoopback(value, uri));
}
