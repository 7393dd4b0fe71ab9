/**
 * The storage adapters of oidc-provider, one for each of its models. Grants, tokens and clients
 * have files of their own. This file has the rules for codes and for requests that start a sign-in.
 */
import Provider, { type Adapter, errors } from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { RequestBounds } from '../../../base/config/request-bounds.js';
import type { Secrets } from '../../../base/crypto.js';
import type { RateLimiter } from '../../../base/rate-limiter.js';
import type { Clients } from '../../../core/clients/clients.js';
import type { ClientRegistration } from '../../../core/clients/registration.js';
import type { ClientUsage } from '../../../core/clients/usage.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { Sessions } from '../../../core/sessions/sessions.js';
import { createClientAdapter, createRegistrationTokenAdapter } from './client-adapter.js';
import { isUnverified } from './client-origin.js';
import type { ClientResolver } from './client-resolver.js';
import { createEphemeralAdapters } from './ephemeral-adapter.js';
import { createGrantAdapter } from './grant-adapter.js';
import { createRequestStorage } from './request-storage.js';
import { createSingleUse } from './single-use-adapter.js';
import { createTokenAdapters } from './token-adapter.js';

interface Deps {
  oauthStorage: OAuthStorage;
  clients: Clients;
  clientRegistration: ClientRegistration;
  clientUsage: Pick<ClientUsage, 'recordAuthorization'>;
  resolveClient: ClientResolver;
  sessions: Sessions;
  secrets: Secrets;
  clock: Clock;
  rateLimiter: RateLimiter;
  bounds: RequestBounds;
}

export type Adapters = ReturnType<typeof createAdapters>;

export function createAdapters(deps: Deps) {
  const { oauthStorage, clients, clientRegistration, clientUsage, resolveClient, sessions, secrets, clock } = deps;
  const { grants } = oauthStorage;
  const ephemeral = createEphemeralAdapters({ oauthStorage, secrets, clock });
  const tokens = createTokenAdapters({ oauthStorage, ephemeral, clock });
  const { bounded, boundedSession } = createRequestStorage(deps);
  const { redeemedOnce, consumedOnce, removedByUse } = createSingleUse({ oauthStorage, ephemeral });

  return { adapterFor, completeRotation: tokens.completeRotation };

  function adapterFor(kind: string): Adapter {
    const adapter = ephemeral.adapterFor(kind);
    switch (kind) {
      case 'Client':
        return createClientAdapter({ clients, clientRegistration, resolveClient });
      case 'RegistrationAccessToken':
        return createRegistrationTokenAdapter({ clientRegistration });
      case 'Grant':
        return createGrantAdapter({ grants, ephemeral });
      case 'AccessToken':
        return tokens.accessTokenAdapter();
      case 'ClientCredentials':
        return tokens.clientCredentialsAdapter();
      case 'RefreshToken':
        return tokens.refreshTokenAdapter();
      case 'Session':
        return { ...adapter, upsert: boundedSession(adapter.upsert) };
      case 'Interaction':
        return { ...adapter, upsert: bounded(recordingUsage(adapter.upsert)) };
      case 'PushedAuthorizationRequest':
        return removedByUse(kind, { ...adapter, upsert: bounded(recordingUsage(adapter.upsert)) });
      case 'AuthorizationCode':
        return redeemedOnce(kind, { ...adapter, upsert: storingGrant(adapter.upsert) });
      case 'DeviceCode':
        return redeemedOnce(kind, { ...adapter, upsert: bounded(recordingUsage(storingGrant(adapter.upsert))) });
      case 'BackchannelAuthenticationRequest':
        return consumedOnce(kind, adapter);
      default:
        return adapter;
    }
  }

  /**
   * Wraps the `upsert` of a model that starts a sign-in. Records that the client is in use, so that
   * the cleanup of unused clients keeps it. Throws `invalid_client` if the cleanup has deleted it.
   */
  function recordingUsage(upsert: Adapter['upsert']): Adapter['upsert'] {
    return async function upsertRecordingUsage(id, payload, expiresIn) {
      const client = Provider.ctx?.oidc.client;
      if (client && isUnverified(client) && !(await clientUsage.recordAuthorization(client.clientId))) {
        throw new errors.InvalidClient('the client was deleted');
      }
      await upsert(id, payload, expiresIn);
    };
  }

  /**
   * Wraps the `upsert` of a code. Stores its grant first, so that no code exists without a grant.
   */
  function storingGrant(upsert: Adapter['upsert']): Adapter['upsert'] {
    return async function upsertStoringGrant(id, payload, expiresIn) {
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
}
