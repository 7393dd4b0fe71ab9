/**
 * Clients that register themselves (RFC 7591, RFC 7592), as oidc-provider wants it said: who may,
 * and by whose rules.
 */
import { randomUUID } from 'node:crypto';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../../../base/config.js';
import type { Clients } from '../../../core/clients/clients.js';
import { MetadataError } from '../../../core/clients/metadata.js';
import { OWN_MEMBERS } from '../storage/client-adapter.js';

interface Deps {
  config: Pick<Config, 'registration' | 'registrationToken'>;
  clients: Pick<Clients, 'makeSecret' | 'normalize'>;
}

export function registration({ config, clients }: Deps) {
  const enabled = config.registration !== 'closed';

  return {
    metadata: { properties: [...OWN_MEMBERS], validator: settle },
    features: {
      registration: {
        enabled,
        initialAccessToken: config.registration === 'token' ? config.registrationToken : false,
        idFactory: () => randomUUID(),
        secretFactory: async () => clients.makeSecret(),
      },
      registrationManagement: { enabled, rotateRegistrationAccessToken: false },
    },
  };

  /**
   * The provider calls this for each member of ours, first of all its checks. A registration (it
   * has a context) is settled by our rules, and cannot name these members; a client from the store
   * (it has none) keeps them.
   */
  function settle(ctx: KoaContextWithOIDC | undefined, member: string, _value: unknown, metadata: object): void {
    if (!ctx) return;
    const given = metadata as Record<string, unknown>;
    delete given[member];
    if (member !== OWN_MEMBERS[0]) return;
    for (const [name, value] of Object.entries(given)) if (value === null) delete given[name]; // the same as none (RFC 7592, 2.2)
    try {
      Object.assign(given, clients.normalize(given, { anonymous: config.registration === 'open' }));
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      throw error.code === 'invalid_redirect_uri'
        ? Object.assign(new errors.InvalidRedirectUri(), { error_description: error.message })
        : new errors.InvalidClientMetadata(error.message);
    }
  }
}
