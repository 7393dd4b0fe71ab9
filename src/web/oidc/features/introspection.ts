/** Introspection (RFC 7662): which tokens a client can introspect, and which of them are active. */
import type { KoaContextWithOIDC, Client as ProviderClient } from 'oidc-provider';
import type { AgentMember } from '../../../core/agents/client.js';
import type { Core } from '../../../core/core.js';
import { type Acting, actorsIn } from '../../../core/credentials/oauth-tokens.js';
import type { FindAccount } from './find-account.js';

interface Deps {
  core: Pick<Core, 'oauthStorage' | 'audiences' | 'clients' | 'activeAgents'>;
  findAccount: FindAccount;
}

interface IntrospectedToken {
  clientId?: string;
  accountId?: string;
  iat?: number;
  aud?: string | string[];
  extra?: object;
}

/** Returns the introspection feature of oidc-provider. */
export function introspection({ core, findAccount }: Deps) {
  const { oauthStorage, audiences, clients, activeAgents } = core;

  return { enabled: true as const, allowedPolicy };

  /** Returns false for `active: false`. The response does not reveal the reason. */
  async function allowedPolicy(
    _ctx: KoaContextWithOIDC,
    client: ProviderClient,
    token: IntrospectedToken,
  ): Promise<boolean> {
    return canIntrospect(client, token) && (await isActive(token));
  }

  /**
   * Reports whether the audiences, client, account and actors of the token are still active. The
   * provider itself checks the token's grant.
   */
  async function isActive(token: IntrospectedToken): Promise<boolean> {
    for (const audience of [token.aud ?? []].flat()) if (!(await audiences.find(audience))) return false; // the API was deleted
    const client = await clients.find(String(token.clientId));
    if (!client) return false;
    const { agent } = client.metadata as { agent?: AgentMember };
    const { key_id: keyId, gid, act } = (token.extra ?? {}) as { key_id?: string; gid?: string; act?: Acting };
    if (client.origin === 'agent' && agent?.key_id !== keyId) return false;
    for (const id of actorsIn(act)) if (!(await activeAgents.find(id))) return false;
    if (gid && !(await oauthStorage.grants.find(gid))) return false;
    return !token.accountId || (await findAccount(undefined, token.accountId, token)) !== undefined;
  }
}

/** Reports whether the token is the client's own, or an administrator created the client. */
function canIntrospect(client: ProviderClient, token: IntrospectedToken): boolean {
  return token.clientId === client.clientId || (client.origin === 'admin' && client.clientAuthMethod !== 'none');
}
