/** The adapter for grants. Destroying a grant revokes its token family. */
import { setTimeout as sleep } from 'node:timers/promises';
import Provider, { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Grants, RevocationCause } from '../../../core/oauth-storage/grants.js';
import { metaFrom } from '../request-meta.js';
import type { EphemeralAdapters } from './ephemeral-adapter.js';

interface Deps {
  grants: Grants;
  ephemeral: EphemeralAdapters;
}

/**
 * Two concurrent redemptions of a code: one wins. The loser waits this long before it revokes the
 * grant, so that the winner's tokens are stored first and are revoked too.
 */
export const WINNER_RESPONSE_MS = 500;

export function createGrantAdapter({ grants, ephemeral }: Deps): Adapter {
  return {
    ...ephemeral.adapterFor('Grant'),
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
        expiresAt: ephemeral.expiryOf('Grant', expiresIn),
      });
      if (!saved) throw new errors.AccessDenied('the session or the consent was revoked');
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

/** Returns the reason for which oidc-provider destroys a grant in this request. */
function causeOf(ctx: KoaContextWithOIDC | undefined): RevocationCause {
  if (ctx?.oidc.route !== 'token') return 'token.revoked';
  return ctx.oidc.params?.grant_type === 'refresh_token' ? 'refresh_token.replayed' : 'code.replayed';
}
