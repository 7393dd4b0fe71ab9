/**
 * Introspection (RFC 7662): who may ask about which token, and whether all that a token lives by is
 * still there.
 */
import type { KoaContextWithOIDC, Client as ProviderClient } from 'oidc-provider';
import type { AgentMember } from '../../../core/agents/client.js';
import type { Core } from '../../../core/core.js';
import { type Acting, actorsIn } from '../../../core/credentials/oauth-tokens.js';
import type { FindAccount } from './find-account.js';

interface Deps {
  core: Pick<Core, 'oauthStorage' | 'audiences' | 'clients' | 'activeAgents'>;
  findAccount: FindAccount;
}

interface AskedAbout {
  clientId?: string;
  accountId?: string;
  iat?: number;
  aud?: string | string[];
  extra?: object;
}

export function introspection({ core, findAccount }: Deps) {
  const { oauthStorage, audiences, clients, activeAgents } = core;

  return { enabled: true as const, allowedPolicy };

  /** A no is told as "not active", whatever its reason. */
  async function allowedPolicy(_ctx: KoaContextWithOIDC, client: ProviderClient, token: AskedAbout): Promise<boolean> {
    return mayAsk(client, token) && (await isBehindAlive(token));
  }

  /**
   * Whether the client, the person that the token stands for, and all who act for them are still
   * there; the provider has asked for the grant.
   */
  async function isBehindAlive(token: AskedAbout): Promise<boolean> {
    for (const audience of [token.aud ?? []].flat()) if (!(await audiences.find(audience))) return false; // it was taken away
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

/** Whoever is not trusted by an administrator may ask about its own tokens only. */
function mayAsk(client: ProviderClient, token: AskedAbout): boolean {
  return token.clientId === client.clientId || (client.origin === 'admin' && client.clientAuthMethod !== 'none');
}
