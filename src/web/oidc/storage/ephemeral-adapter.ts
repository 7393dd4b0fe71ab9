/**
 * The adapter for short-lived models of oidc-provider: codes, opaque tokens, interactions,
 * sessions. Entries are stored under a hash of their secret and always expire. Some models override
 * methods.
 */
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import { addSeconds, type Clock, epochSeconds, MINUTE_SECONDS } from '../../../base/clock.js';
import { constantTimeEqual, hmacSha256, type Secrets } from '../../../base/crypto.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { StoredEntry } from '../../../core/oauth-storage/stores.js';
import { couldBeToken } from './opaque-token-format.js';

interface Deps {
  oauthStorage: OAuthStorage;
  secrets: Secrets;
  clock: Clock;
}

/**
 * How long expired codes are kept if the client polls for them, so that the client gets
 * `expired_token` and not `invalid_grant` (RFC 8628, 3.5).
 */
const KEEP_EXPIRED_SECONDS = 10 * MINUTE_SECONDS;
const POLLED_KINDS = new Set(['DeviceCode', 'BackchannelAuthenticationRequest']);

export type EphemeralAdapters = ReturnType<typeof createEphemeralAdapters>;

export function createEphemeralAdapters({ oauthStorage, secrets, clock }: Deps) {
  const { store, idOf } = oauthStorage;

  return { adapterFor, storedId, expiryOf };

  function adapterFor(kind: string): Adapter {
    return {
      async upsert(id, payload, expiresIn) {
        const { jti: _secret, ...rest } = payload;
        const expiresAt = expiryOf(kind, expiresIn);
        const { uid, userCode } = payload;
        await store.put(kind, storedId(id), rest, { expiresAt, uid, userCode });
      },
      async find(id) {
        return couldBeToken(kind, id) ? toPayload(await store.get(kind, storedId(id)), id) : undefined;
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
        if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidRequest('already used');
      },
      async destroy(id) {
        await store.remove(kind, storedId(id));
      },
      async revokeByGrantId() {
        // Does nothing: no token is valid without its grant, which oidc-provider destroys next.
      },
    };
  }

  /** Returns the id of an entry from its secret or from its signed handle. */
  function storedId(value: string): string {
    const [, hash, mac] = /^~([\w-]{43})\.([\w-]{43})$/.exec(value) ?? [];
    const isSigned =
      hash && mac && secrets.keys('artifact-handles').some((key) => constantTimeEqual(hmacSha256(key, hash), mac));
    return isSigned ? hash : idOf(value);
  }

  /**
   * Returns a handle that replaces the secret of an entry that was found by uid or user code,
   * because only the hash of the secret is stored. The handle is signed, so that a leaked hash is
   * useless.
   */
  function handleOf(hash: string): string {
    return `~${hash}.${hmacSha256(secrets.key('artifact-handles'), hash)}`;
  }

  function expiryOf(kind: string, expiresIn: number | undefined): Date {
    if (!expiresIn) throw new Error(`${kind} would never expire`);
    return addSeconds(clock.now(), POLLED_KINDS.has(kind) ? expiresIn + KEEP_EXPIRED_SECONDS : expiresIn);
  }
}

function toPayload(found: StoredEntry | undefined, jti: string | undefined): AdapterPayload | undefined {
  if (!found) return undefined;
  const consumed = found.consumedAt && { consumed: epochSeconds(found.consumedAt) };
  return { ...found.payload, jti, ...consumed } as AdapterPayload;
}
