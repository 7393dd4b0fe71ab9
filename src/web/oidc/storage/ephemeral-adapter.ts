/**
 * How oidc-provider's codes, tokens and sessions become artifacts and are found again: under a hash
 * of what they are worth, with an end. What is special about one kind stands beside this.
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
 * How long what is polled for is kept when it has expired, so that this is told, and not that there
 * was none (RFC 8628, 3.5).
 */
const TELL_EXPIRED_SECONDS = 10 * MINUTE_SECONDS;
const POLLED = new Set(['DeviceCode', 'BackchannelAuthenticationRequest']);

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

  /** Under which id a value is stored: its hash, or the hash that a handle of ours stands for. */
  function storedId(value: string): string {
    const [, hash, mac] = /^~([\w-]{43})\.([\w-]{43})$/.exec(value) ?? [];
    const genuine =
      hash && mac && secrets.keys('artifact-handles').some((key) => constantTimeEqual(hmacSha256(key, hash), mac));
    return genuine ? hash : idOf(value);
  }

  /**
   * What was found by its second name has lost its value, for only the hash is stored. The provider
   * gets a handle instead, which leads back to the same row. It is signed: a hash that leaked from
   * the store is not a way in.
   */
  function handleOf(hash: string): string {
    return `~${hash}.${hmacSha256(secrets.key('artifact-handles'), hash)}`;
  }

  function expiryOf(kind: string, expiresIn: number | undefined): Date {
    if (!expiresIn) throw new Error(`${kind} would be stored for ever`);
    return addSeconds(clock.now(), POLLED.has(kind) ? expiresIn + TELL_EXPIRED_SECONDS : expiresIn);
  }
}

function toPayload(found: StoredEntry | undefined, jti: string | undefined): AdapterPayload | undefined {
  if (!found) return undefined;
  const consumed = found.consumedAt && { consumed: epochSeconds(found.consumedAt) };
  return { ...found.payload, jti, ...consumed } as AdapterPayload;
}
