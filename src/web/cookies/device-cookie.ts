/**
 * By what a browser is recognised when somebody signs in with it again. It proves nothing, and
 * signs nobody in.
 */
import { DAY_SECONDS, SECOND_MS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { RequestMeta } from '../../core/request-meta.js';
import type { Context } from '../http/context.js';
import { hostCookie } from './cookies.js';

const YEAR_MS = 365 * DAY_SECONDS * SECOND_MS;

export type DeviceCookie = ReturnType<typeof createDeviceCookie>;

export function createDeviceCookie({ issuer }: { issuer: string }) {
  const { name, options } = hostCookie(issuer, 'signet_device');

  return { withDevice, remember };

  /** The request's caller, with the device. Gives the browser its cookie, for another year. */
  function withDevice(ctx: Context): RequestMeta {
    const { device = randomToken(), ...meta } = remember(ctx);
    ctx.cookies.set(name, device, { ...options, maxAge: YEAR_MS });
    return { ...meta, device };
  }

  /** The same, for somebody who may not get in: a browser that is not known stays so. */
  function remember(ctx: Context): RequestMeta {
    const known = ctx.cookies.get(name, { signed: false });
    return known && /^[\w-]{43}$/.test(known) ? { ...ctx.state.meta, device: known } : ctx.state.meta;
  }
}
