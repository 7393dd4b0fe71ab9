/**
 * Single use of codes, pushed requests and CIBA requests. A consumed code is kept until it expires,
 * so that its reuse is detected, but only with the members that this needs: not with what the user
 * was asked for, or the device on which the request began.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Provider, { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { Payload } from '../../../core/oauth-storage/stores.js';
import { metaFrom } from '../request-meta.js';
import type { EphemeralAdapters } from './ephemeral-adapter.js';
import { WINNER_RESPONSE_MS } from './grant-adapter.js';

type Consume = Adapter['consume'];

interface Deps {
  oauthStorage: Pick<OAuthStorage, 'store' | 'grants'>;
  ephemeral: Pick<EphemeralAdapters, 'storedId'>;
}

/**
 * The members that oidc-provider compares before it finds out that a code was consumed. Without
 * them, a second redemption would fail earlier, and would not revoke the token family.
 */
const REMAINING_MEMBERS = [
  ...['kind', 'iat', 'exp', 'clientId', 'grantId'],
  ...['codeChallenge', 'codeChallengeMethod', 'redirectUri'], // of an authorization code
  ...['accountId', 'error'], // of a device code or CIBA request: no longer pending
];

export function createSingleUse({ oauthStorage, ephemeral: { storedId } }: Deps) {
  const { store, grants } = oauthStorage;
  const found = new WeakMap<KoaContextWithOIDC, AdapterPayload>();

  return { redeemedOnce, consumedOnce, removedByUse };

  /**
   * Wraps the adapter of codes. A second redemption revokes the token family (RFC 6749, 4.1.2). It
   * first waits until the tokens of the first redemption are stored. There is no reuse interval.
   */
  function redeemedOnce(kind: string, adapter: Adapter): Adapter {
    const consume: Consume = async function redeem(id) {
      if (await consumeStored(kind, id)) return;
      const stored = await store.get(kind, storedId(id));
      const grantId = stored?.payload.grantId;
      await sleep(WINNER_RESPONSE_MS);
      if (typeof grantId === 'string') await grants.revoke(grantId, 'code.replayed', metaFrom(Provider.ctx));
      throw new errors.InvalidGrant('the code was already redeemed');
    };
    return { ...adapter, find: remembering(adapter.find), consume };
  }

  /**
   * Wraps the adapter of CIBA requests. One of several concurrent polls gets the token. All come
   * from the same authenticated agent, so nothing is revoked.
   */
  function consumedOnce(kind: string, adapter: Adapter): Adapter {
    const consume: Consume = async function consumeOnce(id) {
      if (!(await consumeStored(kind, id))) throw new errors.InvalidGrant('the request was already redeemed');
    };
    return { ...adapter, find: remembering(adapter.find), consume };
  }

  /** Wraps the adapter of pushed requests. A used one is not needed any more. */
  function removedByUse(kind: string, adapter: Adapter): Adapter {
    const consume: Consume = async function consumeAndRemove(id) {
      if (!(await store.consume(kind, storedId(id)))) throw new errors.InvalidRequest('the request was already used');
      await store.remove(kind, storedId(id));
    };
    return { ...adapter, consume };
  }

  /** Wraps `find`. Remembers the payload, because oidc-provider calls `consume` without it. */
  function remembering(find: Adapter['find']): Adapter['find'] {
    return async function findAndRemember(id) {
      const payload = await find(id);
      const { ctx } = Provider;
      if (ctx && payload) found.set(ctx, payload);
      return payload;
    };
  }

  function consumeStored(kind: string, id: string): Promise<boolean> {
    const payload = Provider.ctx && found.get(Provider.ctx);
    return store.consume(kind, storedId(id), payload?.jti === id ? remainingOf(payload) : undefined);
  }
}

function remainingOf(payload: AdapterPayload): Payload {
  return Object.fromEntries(Object.entries(payload).filter(([member]) => REMAINING_MEMBERS.includes(member)));
}
