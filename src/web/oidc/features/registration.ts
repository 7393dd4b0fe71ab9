/** Dynamic client registration (RFC 7591, RFC 7592). */
import { randomUUID } from 'node:crypto';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { boundOf } from '../../../base/app-error.js';
import type { Config } from '../../../base/config.js';
import { MetadataError } from '../../../core/clients/metadata.js';
import type { ClientRegistration } from '../../../core/clients/registration.js';
import { makeSecret } from '../../../core/clients/secrets.js';
import { OWN_MEMBERS } from '../storage/client-adapter.js';

interface Deps {
  config: Pick<Config, 'registration' | 'registrationToken'>;
  clientRegistration: Pick<ClientRegistration, 'normalize'>;
}

/** Returns oidc-provider's settings for client metadata and its registration features. */
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
   * Removes our own members from the metadata of a registration and normalizes the rest. The
   * provider calls this once for each of these members, before its own checks. Without a context,
   * the client comes from storage and keeps them.
   */
  function normalizeMetadata(
    ctx: KoaContextWithOIDC | undefined,
    member: string,
    _value: unknown,
    clientMetadata: object,
  ): void {
    if (!ctx || member !== OWN_MEMBERS[0]) return; // the first call does everything
    const metadata = clientMetadata as Record<string, unknown>;
    for (const ownMember of OWN_MEMBERS) delete metadata[ownMember];
    for (const [name, value] of Object.entries(metadata)) if (value === null) delete metadata[name]; // null means absent (RFC 7592, 2.2)
    try {
      Object.assign(metadata, clientRegistration.normalize(metadata, { anonymous: config.registration === 'open' }));
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      const rejection =
        error.code === 'invalid_redirect_uri'
          ? Object.assign(new errors.InvalidRedirectUri(), { error_description: error.message })
          : new errors.InvalidClientMetadata(error.message);
      throw Object.assign(rejection, { bound: boundOf(error) });
    }
  }
}
