/**
 * Grants, as oidc-provider stores them: what a person allowed, and the head of its family of
 * tokens, which ends with it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Provider, { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Grants, RevocationCause } from '../../../core/oauth-storage/grants.js';
import { metaFrom } from '../request-meta.js';
import type { EphemeralAdapters } from './ephemeral-adapter.js';

interface Deps {
  grants: Grants;
  plain: EphemeralAdapters;
}

/**
 * Of two redemptions at once one succeeds: the other waits so long with ending what the first is
 * about to get.
 */
export const WINNER_RESPONSE_MS = 500;

export function createGrantAdapter({ grants, plain }: Deps): Adapter {
  return {
    ...plain.adapterFor('Grant'),
    async upsert(id, payload, expiresIn) {
      const { ctx } = Provider;
      const saved = await grants.save({
        id,
        accountId: String(payload.accountId),
        clientId: String(payload.clientId),
        sessionId: ctx?.oidc.session?.uid,
        consented: !ctx?.oidc.client?.first_party,
        offline: ctx?.oidc.requestParamScopes.has('offline_access') ?? false,
        payload,
        expiresAt: plain.expiryOf('Grant', expiresIn),
      });
      if (!saved) throw new errors.AccessDenied('the login or the consent has ended');
    },
    async find(id) {
      return (await grants.find(id))?.payload as AdapterPayload | undefined;
    },
    async destroy(id) {
      const { ctx } = Provider;
      const cause = causeOf(ctx);
      if (cause === 'code.replayed') await sleep(WINNER_RESPONSE_MS);
      await grants.revoke(id, cause, metaFrom(ctx));
    },
  };
}

/** Why the provider ends a family. */
function causeOf(ctx: KoaContextWithOIDC | undefined): RevocationCause {
  if (ctx?.oidc.route !== 'token') return 'token.revoked';
  return ctx.oidc.params?.grant_type === 'refresh_token' ? 'refresh_token.replayed' : 'code.replayed';
}
