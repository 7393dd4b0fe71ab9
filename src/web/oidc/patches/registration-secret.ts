/**
 * RFC 7592 lets a client send its secret along when it updates itself. The provider compares it
 * with what is stored, which is a hash here, and would answer with that hash: so the right secret
 * is replaced on the way in, and none goes out but a new one.
 */
import type { Clients } from '../../../core/clients/clients.js';
import { type ProviderInternals, replaceContext } from '../provider-internals.js';
import { OWN_MEMBERS } from '../storage/client-adapter.js';

/** What a client is told of itself holds neither. */
export function patchRegistrationSecret(internals: ProviderInternals, clients: Clients): void {
  const { OIDCContext } = internals;

  class ForgivingContext extends OIDCContext {
    #body: Record<string, unknown> | undefined;

    /**
     * The provider assigns it, once, when the body is parsed. A secret that is null is none (RFC
     * 7592, 2.2).
     */
    override get body() {
      return this.#body;
    }

    override set body(body: Record<string, unknown> | undefined) {
      const stored = this.route === 'client_update' ? this.client?.clientSecret : undefined;
      const { client_secret: given, ...others } = body ?? {};
      if (given === null) this.#body = others;
      else if (!stored || typeof given !== 'string') this.#body = body;
      else if (clients.isSecret(given, stored)) this.#body = { ...body, client_secret: stored };
      else this.#body = { ...body, client_secret: given === stored ? '' : given }; // a hash that leaked is no secret
    }
  }
  replaceContext(internals, ForgivingContext);

  internals.responseHooks.push(function removeHash(ctx) {
    const body = ctx.body as Record<string, unknown> | undefined;
    if (!body || typeof body !== 'object' || typeof body.registration_client_uri !== 'string') return;
    if (String(body.client_secret).startsWith('sha256:')) delete body.client_secret;
    for (const member of OWN_MEMBERS) delete body[member];
  });
}
