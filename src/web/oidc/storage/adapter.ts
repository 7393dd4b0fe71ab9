/**
 * Where oidc-provider stores what: an adapter for each of its models, translated for
 * core/oauth-storage and core/clients. Here stands what begins a sign-in and what is redeemed once;
 * grants, tokens and clients have files of their own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Provider, { type Adapter, errors } from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Secrets } from '../../../base/crypto.js';
import type { Clients } from '../../../core/clients/clients.js';
import type { ClientUsage } from '../../../core/clients/usage.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { Sessions } from '../../../core/sessions/sessions.js';
import { metaFrom } from '../request-meta.js';
import { createClientAdapter, createRegistrationTokenAdapter } from './client-adapter.js';
import { isUnverified } from './client-origin.js';
import type { ClientResolver } from './client-resolver.js';
import { createEphemeralAdapters } from './ephemeral-adapter.js';
import { createGrantAdapter, WINNER_RESPONSE_MS } from './grant-adapter.js';
import { createTokenAdapters } from './token-adapter.js';

interface Deps {
  oauthStorage: OAuthStorage;
  clients: Clients;
  clientUsage: Pick<ClientUsage, 'recordAuthorization'>;
  resolveClient: ClientResolver;
  sessions: Sessions;
  secrets: Secrets;
  clock: Clock;
}

export type Adapters = ReturnType<typeof createAdapters>;

export function createAdapters({ oauthStorage, clients, clientUsage, resolveClient, sessions, secrets, clock }: Deps) {
  const { store, grants } = oauthStorage;
  const plain = createEphemeralAdapters({ oauthStorage, secrets, clock });
  const tokens = createTokenAdapters({ oauthStorage, plain, clock });
  const { storedId } = plain;

  return { adapterFor, completeRotation: tokens.completeRotation };

  function adapterFor(kind: string): Adapter {
    const adapter = plain.adapterFor(kind);
    switch (kind) {
      case 'Client':
        return createClientAdapter({ clients, resolveClient });
      case 'RegistrationAccessToken':
        return createRegistrationTokenAdapter({ clients });
      case 'Grant':
        return createGrantAdapter({ grants, plain });
      case 'AccessToken':
        return tokens.accessTokens();
      case 'ClientCredentials':
        return tokens.clientTokens();
      case 'RefreshToken':
        return tokens.refreshTokens();
      case 'Interaction':
      case 'PushedAuthorizationRequest':
        return { ...adapter, upsert: startsFamily(adapter.upsert) };
      case 'AuthorizationCode':
        return { ...adapter, upsert: loadWithGrant(adapter.upsert), consume: redeemOnce(kind) };
      case 'DeviceCode':
        return { ...adapter, upsert: startsFamily(loadWithGrant(adapter.upsert)), consume: redeemOnce(kind) };
      case 'BackchannelAuthenticationRequest':
        return { ...adapter, consume: consumeOnce(kind) };
      default:
        return adapter;
    }
  }

  /**
   * With these somebody begins to sign in: a client that came by itself must not be taken away
   * meanwhile.
   */
  function startsFamily(upsert: Adapter['upsert']): Adapter['upsert'] {
    return async function upsertAndKeepClient(id, payload, expiresIn) {
      const client = Provider.ctx?.oidc.client;
      if (client && isUnverified(client) && !(await clientUsage.recordAuthorization(client.clientId))) {
        throw new errors.InvalidClient('the app is no longer known');
      }
      await upsert(id, payload, expiresIn);
    };
  }

  /**
   * Codes carry the grant of their authorization: it is stored first, so that there is never a code
   * without a grant.
   */
  function loadWithGrant(upsert: Adapter['upsert']): Adapter['upsert'] {
    return async function upsertWithGrant(id, payload, expiresIn) {
      const { oidc } = Provider.ctx ?? {};
      const { Grant: grant, Client: client } = oidc?.entities ?? {};
      if (grant && payload.grantId === grant.jti && !grant.iat) {
        await grant.save();
        const sessionId = oidc?.session?.uid;
        if (client?.backchannelLogoutUri && sessionId) await sessions.rememberClient(sessionId, client.clientId);
      }
      await upsert(id, payload, expiresIn);
    };
  }

  /**
   * A code has no retry window (RFC 6749, 4.1.2): whoever comes second ends the family, once the
   * first has its answer.
   */
  function redeemOnce(kind: string): Adapter['consume'] {
    return async function redeem(id) {
      if (await store.consume(kind, storedId(id))) return;
      const stored = await store.get(kind, storedId(id));
      const grantId = stored?.payload.grantId;
      await sleep(WINNER_RESPONSE_MS);
      if (typeof grantId === 'string') await grants.revoke(grantId, 'code.replayed', metaFrom(Provider.ctx));
      throw new errors.InvalidGrant('it was redeemed already');
    };
  }

  /**
   * Of an agent's polls at once one gets the token. The others came from the same agent: nothing
   * was stolen, and the token stays.
   */
  function consumeOnce(kind: string): Adapter['consume'] {
    return async function take(id) {
      if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidGrant('it was redeemed already');
    };
  }
}
