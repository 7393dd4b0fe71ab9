/** Clients and registration access tokens, translated between oidc-provider and `core/clients`. */
import Provider, { type Adapter, type AdapterPayload } from 'oidc-provider';
import { AppError } from '../../../base/app-error.js';
import type { AgentMember } from '../../../core/agents/client.js';
import type { Client, Clients } from '../../../core/clients/clients.js';
import type { ClientMetadata } from '../../../core/clients/metadata.js';
import type { ClientRegistration } from '../../../core/clients/registration.js';
import { metaFrom } from '../request-meta.js';
import type { ClientResolver } from './client-resolver.js';
import { toLimitError } from './limit-errors.js';
import { toProviderClient } from './spiffe-client.js';

/**
 * Our own members of a client, which a registration must not set. They are columns, derived
 * members, and members that only an administrator sets in the metadata.
 */
export const OWN_MEMBERS = ['origin', 'first_party', 'pkce_required', 'spiffe_id', 'agent'] as const;

export function createClientAdapter({
  clients,
  clientRegistration,
  resolveClient,
}: {
  clients: Clients;
  clientRegistration: Pick<ClientRegistration, 'saveRegistered'>;
  resolveClient: ClientResolver;
}): Adapter {
  return {
    async upsert(id, payload) {
      const metadata: ClientMetadata = { ...payload };
      for (const member of ['client_id', 'client_secret', ...OWN_MEMBERS]) delete metadata[member];
      const { client_secret: secret } = payload;
      // An update contains the hash that `find` returned. Any other value is a new secret.
      const newSecret = secret && secret !== (await clients.find(id))?.secretHash ? secret : undefined;
      const { ctx } = Provider;
      await clientRegistration.saveRegistered(id, metadata, newSecret, metaFrom(ctx)).catch((error) => {
        throw toLimitError(error, ctx);
      });
    },
    async find(id) {
      const client = await resolveClient(id);
      return client ? toPayload(client) : undefined;
    },
    async destroy(id) {
      await clients.remove(id, metaFrom(Provider.ctx)).catch((error) => {
        if (!(error instanceof AppError)) throw error; // an `AppError`: a concurrent request has deleted it
      });
    },
    ...unusedMethods,
  };
}

export function createRegistrationTokenAdapter({
  clientRegistration,
}: {
  clientRegistration: Pick<ClientRegistration, 'findByToken' | 'setToken'>;
}): Adapter {
  return {
    async upsert(id, { clientId }) {
      await clientRegistration.setToken(String(clientId), id);
    },
    async find(id) {
      const client = await clientRegistration.findByToken(id);
      return client ? { jti: id, kind: 'RegistrationAccessToken', clientId: client.id } : undefined;
    },
    async destroy(id) {
      const client = await clientRegistration.findByToken(id);
      if (client) await clientRegistration.setToken(client.id, null);
    },
    ...unusedMethods,
  };
}

/**
 * Returns a client as oidc-provider stores it. `client_secret` is the hash: the patched
 * `compareClientSecret` hashes the secret of a request.
 */
function toPayload(client: Client): AdapterPayload {
  return {
    ...(client.metadata as ClientMetadata),
    client_id: client.id,
    ...(client.secretHash && { client_secret: client.secretHash }),
    origin: client.origin,
    first_party: client.firstParty,
    pkce_required: client.pkceRequired,
    ...toProviderClient(client),
    // In addition to the filter of metadata documents: no other client can pretend to be an agent.
    agent: client.origin === 'agent' ? (client.metadata as ClientMetadata).agent : undefined,
  } as AdapterPayload;
}

/** Returns the agent member of a client; undefined if it is not an agent. */
export const agentOf = (client: object | undefined) => (client as { agent?: AgentMember } | undefined)?.agent;

const unusedMethods = {
  async findByUid() {
    return undefined;
  },
  async findByUserCode() {
    return undefined;
  },
  async consume() {},
  async revokeByGrantId() {},
};
