/** Translates SPIFFE clients (draft-ietf-oauth-spiffe-client-auth) for oidc-provider. */
import type { Client } from '../../../core/clients/clients.js';
import type { ClientMetadata } from '../../../core/clients/metadata.js';

/** oidc-provider requires a secret for `client_secret_post`. It is never compared with anything. */
const NO_SECRET = 'none: this client authenticates with a JWT-SVID';

/**
 * Returns the metadata that makes oidc-provider authenticate a SPIFFE client; empty for every other
 * client. Only an administrator can create one: a client cannot claim a SPIFFE ID itself.
 */
export function toProviderClient({ id, origin, metadata }: Pick<Client, 'id' | 'origin' | 'metadata'>): ClientMetadata {
  const { spiffe_id: spiffeId, token_endpoint_auth_method: method } = metadata as ClientMetadata;
  if (origin !== 'admin' || spiffeId !== id) return {};
  return method === 'spiffe_x509'
    ? { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: id }
    : { token_endpoint_auth_method: 'client_secret_post', client_secret: NO_SECRET };
}
