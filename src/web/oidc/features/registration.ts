/** Returns the settings of dynamic client registration (RFC 7591, RFC 7592) for oidc-provider. */
import { randomUUID } from 'node:crypto';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../../../base/config.js';
import { MetadataError } from '../../../core/clients/metadata.js';
import type { ClientRegistration } from '../../../core/clients/registration.js';
import { makeSecret } from '../../../core/clients/secrets.js';
import { OWN_MEMBERS } from '../storage/client-adapter.js';

interface Deps {
  config: Pick<Config, 'registration' | 'registrationToken'>;
  clientRegistration: Pick<ClientRegistration, 'normalize'>;
}

/** Returns the client metadata settings and the registration features. */
export function registration({ config, clientRegistration }: Deps) {
  const enabled = config.registration !== 'closed';

  return {
    metadata: { properties: [...OWN_MEMBERS], validator: normalizeMetadata },
    features: {
      registration: {
        enabled,
        initialAccessToken: config.registration === 'token' ? config.registrationToken : false,
        idFactory: () => randomUUID(),
        secretFactory: async () => makeSecret(),
      },
      registrationManagement: { enabled, rotateRegistrationAccessToken: false },
    },
  };

  /**
   * Normalizes the metadata of a registration and removes our own members from it. The provider
   * calls this for each of these members, before its own checks. Without a context the client comes
   * from the store and keeps them.
   */
  function normalizeMetadata(
    ctx: KoaContextWithOIDC | undefined,
    member: string,
    _value: unknown,
    metadata: object,
  ): void {
    if (!ctx) return;
    const members = metadata as Record<string, unknown>;
    delete members[member];
    if (member !== OWN_MEMBERS[0]) return;
    for (const [name, value] of Object.entries(members)) if (value === null) delete members[name]; // null means absent (RFC 7592, 2.2)
    try {
      Object.assign(members, clientRegistration.normalize(members, { anonymous: config.registration === 'open' }));
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      throw error.code === 'invalid_redirect_uri'
        ? Object.assign(new errors.InvalidRedirectUri(), { error_description: error.message })
        : new errors.InvalidClientMetadata(error.message);
    }
  }
}
