/**
 * What oidc-provider stores, translated for core/artifacts and core/clients. The only decisions made here are those that need the
 * request that is being answered: which tokens belong to one answer, and whether a replay is a retry or a theft.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Provider, { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { addSeconds, type Clock, epochSeconds, MINUTE_SECONDS } from '../../base/clock.js';
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import type { Artifacts } from '../../core/artifacts/artifacts.js';
import type { NewRefreshToken } from '../../core/artifacts/family.js';
import type { RevocationCause } from '../../core/artifacts/grants.js';
import type { Payload, StoredArtifact } from '../../core/artifacts/store.js';
import type { Clients } from '../../core/clients/clients.js';
import type { ClientUsage } from '../../core/clients/usage.js';
import type { Sessions } from '../../core/sessions/sessions.js';
import { callerOf } from './caller.js';
import { createClientAdapter, createRegistrationTokenAdapter } from './client-adapter.js';
import { isUnverified } from './client-card.js';
import type { LookUp } from './look-up.js';
import { canBe } from './token-length.js';

export interface AdapterNeeds {
  artifacts: Artifacts;
  clients: Clients;
  clientUsage: Pick<ClientUsage, 'begin'>;
  lookUp: LookUp;
  sessions: Sessions;
  secrets: Secrets;
  clock: Clock;
}

/** How long what is polled for is kept when it has expired, so that this is told, and not that there was none (RFC 8628, 3.5). */
const TELL_EXPIRED_SECONDS = 10 * MINUTE_SECONDS;
const POLLED = new Set(['DeviceCode', 'BackchannelAuthenticationRequest']);

/** Of two redemptions at once one succeeds: the other waits so long with ending what the first is about to get. */
const FIRST_ANSWER_MS = 500;

export type Adapters = ReturnType<typeof createAdapters>;

/** A rotation that is decided but not done: it happens with the answer's access token, once nothing can be refused any more. */
interface PendingRotation {
  spentId: string;
  successor: NewRefreshToken;
}

export function createAdapters({ artifacts, clients, clientUsage, lookUp, sessions, secrets, clock }: AdapterNeeds) {
  const { store, grants, refreshTokens, idOf } = artifacts;
  const rotations = new WeakMap<KoaContextWithOIDC, PendingRotation>();

  return { adapterFor, completeRotation };

  function adapterFor(kind: string): Adapter {
    switch (kind) {
      case 'Client':
        return createClientAdapter({ clients, lookUp });
      case 'RegistrationAccessToken':
        return createRegistrationTokenAdapter({ clients });
      case 'Grant':
        return grantAdapter();
      case 'RefreshToken':
        return refreshTokenAdapter();
      case 'AuthorizationCode':
        return { ...artifactAdapter(kind), upsert: withItsGrant(artifactAdapter(kind)), consume: redeemOnce(kind) };
      case 'DeviceCode':
        return {
          ...artifactAdapter(kind),
          upsert: begins(withItsGrant(artifactAdapter(kind))),
          consume: redeemOnce(kind),
        };
      case 'Interaction':
      case 'PushedAuthorizationRequest':
        return { ...artifactAdapter(kind), upsert: begins(artifactAdapter(kind).upsert) };
      case 'BackchannelAuthenticationRequest':
        return { ...artifactAdapter(kind), consume: takeOnce(kind) };
      case 'AccessToken':
        return accessTokenAdapter();
      case 'ClientCredentials':
        return { ...artifactAdapter(kind), destroy: revoke(kind) };
      default:
        return artifactAdapter(kind);
    }
  }

  function artifactAdapter(kind: string): Adapter {
    return {
      async upsert(id, payload, expiresIn) {
        const { jti: _secret, ...rest } = payload;
        const expiresAt = expiryOf(kind, expiresIn);
        const { uid, userCode } = payload;
        await store.put(kind, storedId(id), rest, { expiresAt, uid, userCode });
      },
      async find(id) {
        return canBe(kind, id) ? toPayload(await store.get(kind, storedId(id)), id) : undefined;
      },
      async findByUid(uid) {
        const found = await store.getByUid(kind, uid);
        return toPayload(found, found && handleOf(found.id));
      },
      async findByUserCode(userCode) {
        const found = await store.getByUserCode(kind, userCode);
        return toPayload(found, found && handleOf(found.id));
      },
      async consume(id) {
        if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidRequest('it was used already');
      },
      async destroy(id) {
        await store.remove(kind, storedId(id));
      },
      async revokeByGrantId() {
        // Nothing of a family is valid without its grant, and the provider destroys that next.
      },
    };
  }

  /** With these somebody begins to sign in: a client that came by itself must not be taken away meanwhile. */
  function begins(upsert: Adapter['upsert']): Adapter['upsert'] {
    return async function upsertAndKeepClient(id, payload, expiresIn) {
      const client = currentContext()?.oidc.client;
      if (client && isUnverified(client) && !(await clientUsage.begin(client.clientId))) {
        throw new errors.InvalidClient('the app is no longer known');
      }
      await upsert(id, payload, expiresIn);
    };
  }

  /** Codes carry the grant of their authorization: it is stored first, so that there is never a code without a grant. */
  function withItsGrant(adapter: Adapter): Adapter['upsert'] {
    return async function upsertWithGrant(id, payload, expiresIn) {
      const { Grant: grant, Client: client } = currentContext()?.oidc.entities ?? {};
      if (grant && payload.grantId === grant.jti && !grant.iat) {
        await grant.save();
        const sessionId = currentContext()?.oidc.session?.uid;
        if (client?.backchannelLogoutUri && sessionId) await sessions.rememberClient(sessionId, client.clientId);
      }
      await adapter.upsert(id, payload, expiresIn);
    };
  }

  /** A code has no retry window (RFC 6749, 4.1.2): whoever comes second ends the family, once the first has its answer. */
  function redeemOnce(kind: string): Adapter['consume'] {
    return async function redeem(id) {
      if (await store.consume(kind, storedId(id))) return;
      const stored = await store.get(kind, storedId(id));
      const grantId = stored?.payload.grantId;
      await sleep(FIRST_ANSWER_MS);
      if (typeof grantId === 'string') await grants.revoke(grantId, 'code.replayed', callerOf(currentContext()));
      throw new errors.InvalidGrant('it was redeemed already');
    };
  }

  /** Of an agent's polls at once one gets the token. The others came from the same agent: nothing was stolen, and the token stays. */
  function takeOnce(kind: string): Adapter['consume'] {
    return async function take(id) {
      if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidGrant('it was redeemed already');
    };
  }

  function accessTokenAdapter(): Adapter {
    const adapter = artifactAdapter('AccessToken');
    return {
      ...adapter,
      destroy: revoke('AccessToken'),
      async upsert(id, payload, expiresIn) {
        // Stored before the refresh token of the same answer is: whatever replaces that answer finds this token to remove.
        await adapter.upsert(id, payload, expiresIn);
        try {
          await completeRotation(currentContext(), { jti: id, jkt: payload.jkt, 'x5t#S256': payload['x5t#S256'] });
        } catch (error) {
          await adapter.destroy(id);
          throw error;
        }
      },
    };
  }

  /** The provider destroys an access token when its client revokes it (RFC 7009). */
  function revoke(kind: 'AccessToken' | 'ClientCredentials'): Adapter['destroy'] {
    return async function revokeToken(id) {
      const ctx = currentContext();
      const token = ctx?.oidc.entities[kind];
      if (ctx?.oidc.route !== 'revocation' || !token?.clientId) return store.remove(kind, storedId(id));
      const accountId = 'accountId' in token ? token.accountId : undefined;
      await artifacts.revokeAccessToken({ kind, jti: id, clientId: token.clientId, accountId }, callerOf(ctx));
    };
  }

  function refreshTokenAdapter(): Adapter {
    return {
      ...artifactAdapter('RefreshToken'),
      async upsert(id, payload, expiresIn) {
        const ctx = currentContext();
        const { jti: _secret, ...rest } = payload;
        const { RotatedRefreshToken: rotated, AccessToken: accessToken } = ctx?.oidc.entities ?? {};
        const token: NewRefreshToken = {
          id: storedId(id),
          grantId: String(payload.grantId),
          payload: rest,
          expiresAt: expiryOf('RefreshToken', expiresIn),
        };
        if (ctx && rotated) {
          rotations.set(ctx, { spentId: storedId(rotated.jti), successor: token });
          return;
        }
        const saved = await refreshTokens.save({ ...token, accessTokenId: accessToken && idOf(accessToken.jti) });
        if (!saved) throw new errors.InvalidGrant('the grant has ended');
      },
      async find(id) {
        const found = canBe('RefreshToken', id) ? await refreshTokens.find(storedId(id)) : undefined;
        if (!found) return undefined;
        // Only who redeems it may learn that it can be retried; for everybody else a spent token is spent.
        const redeemable =
          found.state === 'fresh' || (found.state === 'retryable' && currentContext()?.oidc.route === 'token');
        return { ...found.payload, jti: id, ...(!redeemable && { consumed: epochSeconds(clock.now()) }) };
      },
      async consume() {
        // Deferred to completeRotation: a request that is refused after this point must not have spent the token.
      },
      async destroy(id) {
        await refreshTokens.remove(storedId(id));
      },
    };
  }

  /**
   * Does the rotation that this request decided on, together with its access token. Refuses with `invalid_grant`, and ends the
   * family, when the refresh token turns out to have been used by somebody else.
   */
  async function completeRotation(
    ctx: KoaContextWithOIDC | undefined,
    accessToken: { jti: string; jkt?: string; 'x5t#S256'?: string },
  ): Promise<void> {
    const pending = ctx && rotations.get(ctx);
    if (!pending) return;
    rotations.delete(ctx);
    const { spentId, successor } = pending;
    const boundTo = accessToken.jkt ?? accessToken['x5t#S256'];
    const outcome = await refreshTokens.rotate(
      spentId,
      { ...successor, accessTokenId: idOf(accessToken.jti) },
      boundTo,
    );
    if (outcome === 'rotated') return;
    if (outcome === 'spent') await grants.revoke(successor.grantId, 'refresh_token.replayed', callerOf(ctx));
    throw new errors.InvalidGrant(outcome === 'spent' ? 'refresh token already used' : 'the grant has ended');
  }

  function grantAdapter(): Adapter {
    return {
      ...artifactAdapter('Grant'),
      async upsert(id, payload, expiresIn) {
        const ctx = currentContext();
        const saved = await grants.save({
          id,
          accountId: String(payload.accountId),
          clientId: String(payload.clientId),
          sessionId: ctx?.oidc.session?.uid,
          consented: !ctx?.oidc.client?.first_party,
          offline: ctx?.oidc.requestParamScopes.has('offline_access') ?? false,
          payload,
          expiresAt: expiryOf('Grant', expiresIn),
        });
        if (!saved) throw new errors.AccessDenied('the login or the consent has ended');
      },
      async find(id) {
        return (await grants.find(id))?.payload as AdapterPayload | undefined;
      },
      async destroy(id) {
        const ctx = currentContext();
        const cause = causeOf(ctx);
        if (cause === 'code.replayed') await sleep(FIRST_ANSWER_MS);
        await grants.revoke(id, cause, callerOf(ctx));
      },
    };
  }

  function expiryOf(kind: string, expiresIn: number | undefined): Date {
    if (!expiresIn) throw new Error(`${kind} would be stored for ever`);
    return addSeconds(clock.now(), POLLED.has(kind) ? expiresIn + TELL_EXPIRED_SECONDS : expiresIn);
  }

  /** Under which id a value is stored: its hash, or the hash that a handle of ours stands for. */
  function storedId(value: string): string {
    const [, hash, mac] = /^~([\w-]{43})\.([\w-]{43})$/.exec(value) ?? [];
    const genuine =
      hash && mac && secrets.keys('artifact-handles').some((key) => constantTimeEqual(hmacSha256(key, hash), mac));
    return genuine ? hash : idOf(value);
  }

  /**
   * What was found by its second name has lost its value, for only the hash is stored. The provider gets a handle instead, which
   * leads back to the same row. It is signed: a hash that leaked from the store is not a way in.
   */
  function handleOf(hash: string): string {
    return `~${hash}.${hmacSha256(secrets.key('artifact-handles'), hash)}`;
  }
}

function toPayload(found: StoredArtifact | undefined, jti: string | undefined): AdapterPayload | undefined {
  if (!found) return undefined;
  const consumed = found.consumedAt && { consumed: epochSeconds(found.consumedAt) };
  return { ...(found.payload as Payload), jti, ...consumed } as AdapterPayload;
}

/** Why the provider ends a family. */
function causeOf(ctx: KoaContextWithOIDC | undefined): RevocationCause {
  if (ctx?.oidc.route !== 'token') return 'token.revoked';
  return ctx.oidc.params?.grant_type === 'refresh_token' ? 'refresh_token.replayed' : 'code.replayed';
}

/** The request that is being answered, where there is one. */
function currentContext(): KoaContextWithOIDC | undefined {
  return Provider.ctx;
}
