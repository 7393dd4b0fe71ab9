/**
 * The storage adapters of oidc-provider, one for each of its models. Grants, tokens and clients
 * have files of their own. This file has the rules for codes and for requests that start a sign-in.
 */
import { setTimeout as sleep } from 'node:timers/promises';
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
import { metaFrom } from '../request-meta.js';
import { createClientAdapter, createRegistrationTokenAdapter } from './client-adapter.js';
import { isUnverified } from './client-origin.js';
import type { ClientResolver } from './client-resolver.js';
import { createEphemeralAdapters } from './ephemeral-adapter.js';
import { createGrantAdapter, WINNER_RESPONSE_MS } from './grant-adapter.js';
import { createRequestStorage } from './request-storage.js';
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
  const { store, grants } = oauthStorage;
  const ephemeral = createEphemeralAdapters({ oauthStorage, secrets, clock });
  const tokens = createTokenAdapters({ oauthStorage, ephemeral, clock });
  const { storedId } = ephemeral;
  const { bounded } = createRequestStorage(deps);

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
      case 'Interaction':
        return { ...adapter, upsert: bounded(recordingUsage(adapter.upsert)) };
      case 'PushedAuthorizationRequest':
        return { ...adapter, upsert: bounded(recordingUsage(adapter.upsert)), consume: consumeAndRemove(kind) };
      case 'AuthorizationCode':
        return { ...adapter, upsert: storingGrant(adapter.upsert), consume: redeemOnce(kind) };
      case 'DeviceCode':
        return {
          ...adapter,
          upsert: bounded(recordingUsage(storingGrant(adapter.upsert))),
          consume: redeemOnce(kind),
        };
      case 'BackchannelAuthenticationRequest':
        return { ...adapter, consume: consumeOnce(kind) };
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

  /**
   * Returns a `consume` for codes. A second redemption revokes the token family (RFC 6749, 4.1.2).
   * It first waits until the tokens of the first redemption are stored. There is no reuse interval.
   */
  function redeemOnce(kind: string): Adapter['consume'] {
    return async function redeem(id) {
      if (await store.consume(kind, storedId(id))) return;
      const stored = await store.get(kind, storedId(id));
      const grantId = stored?.payload.grantId;
      await sleep(WINNER_RESPONSE_MS);
      if (typeof grantId === 'string') await grants.revoke(grantId, 'code.replayed', metaFrom(Provider.ctx));
      throw new errors.InvalidGrant('the code was already redeemed');
    };
  }

  /** Returns a `consume` for pushed requests. A used one is not needed any more. */
  function consumeAndRemove(kind: string): Adapter['consume'] {
    return async function consume(id) {
      if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidRequest('the request was already used');
      await store.remove(kind, storedId(id));
    };
  }

  /**
   * Returns a `consume` for CIBA requests. One of several concurrent polls gets the token. All come
   * from the same authenticated agent, so nothing is revoked.
   */
  function consumeOnce(kind: string): Adapter['consume'] {
    return async function consume(id) {
      if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidGrant('the request was already redeemed');
    };
  }
}
