/**
 * Client updates (RFC 7592) with hashed secrets. A client can include its secret in an update. The
 * provider compares it with the stored value, which is a hash, and returns that value. So this
 * replaces a correct secret in the request by the hash, and removes the hash from the response.
 */
import { isSecret, isSecretHash } from '../../../core/clients/secrets.js';
import { type ProviderInternals, replaceContext } from '../provider-internals.js';
import { OWN_MEMBERS } from '../storage/client-adapter.js';

/** Patches the request context of a provider and its registration responses. */
export function patchRegistrationSecret(internals: ProviderInternals): void {
  const { OIDCContext } = internals;

  class SecretMappingContext extends OIDCContext {
    #body: Record<string, unknown> | undefined;

    /** Assigned once, when the body is parsed. A null secret counts as absent (RFC 7592, 2.2). */
    override get body() {
      return this.#body;
    }

    override set body(body: Record<string, unknown> | undefined) {
      const stored = this.route === 'client_update' ? this.client?.clientSecret : undefined;
      const { client_secret: secret, ...others } = body ?? {};
      if (secret === null) this.#body = others;
      else if (!stored || typeof secret !== 'string') this.#body = body;
      else if (isSecret(secret, stored)) this.#body = { ...body, client_secret: stored };
      else this.#body = { ...body, client_secret: secret === stored ? '' : secret }; // the hash itself is no secret
    }
  }
  replaceContext(internals, SecretMappingContext);

  internals.responseHooks.push(function removeHash(ctx) {
    const body = ctx.body as Record<string, unknown> | undefined;
    if (!body || typeof body !== 'object' || typeof body.registration_client_uri !== 'string') return;
    if (isSecretHash(body.client_secret)) delete body.client_secret;
    for (const member of OWN_MEMBERS) delete body[member];
  });
}
