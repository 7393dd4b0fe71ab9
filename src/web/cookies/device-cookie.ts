/** Recognizes a browser from which the account has signed in before. Grants no access. */
import { DAY_SECONDS, SECOND_MS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { RequestMeta } from '../../core/request-meta.js';
import type { Context } from '../http/context.js';
import { hostCookie } from './cookies.js';

const MAX_AGE_MS = 365 * DAY_SECONDS * SECOND_MS;

export type DeviceCookie = ReturnType<typeof createDeviceCookie>;

export function createDeviceCookie({ issuer }: { issuer: string }) {
  const { name, options } = hostCookie(issuer, 'signet_device');

  return { withDevice, remember };

  /** Returns the request metadata with the device. Sets or renews the cookie, for one year. */
  function withDevice(ctx: Context): RequestMeta {
    const { device = randomToken(), ...meta } = remember(ctx);
    ctx.cookies.set(name, device, { ...options, maxAge: MAX_AGE_MS });
    return { ...meta, device };
  }

  /** Returns the same without setting a cookie, for a sign-in that has not succeeded yet. */
  function remember(ctx: Context): RequestMeta {
    const known = ctx.cookies.get(name, { signed: false });
    return known && /^[\w-]{43}$/.test(known) ? { ...ctx.state.meta, device: known } : ctx.state.meta;
  }
}
