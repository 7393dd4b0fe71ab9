/**
 * What Signet's own API says of itself (RFC 9728), so that a client which only knows the API finds
 * its authorization server.
 */
import type { Resource } from '../../core/resources/resources.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';

export function protectedResourceMetadata(issuer: string, own: Resource): string {
  return JSON.stringify({
    resource: own.identifier,
    resource_name: own.name,
    authorization_servers: [issuer],
    // Apps ask for all that stands here; what agents do is for those who know that they want it.
    scopes_supported: own.scopes.filter(({ capability }) => !capability).map(({ name }) => name),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
  });
}
