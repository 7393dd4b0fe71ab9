/**
 * The cookie that recognizes a browser from which an account has signed in before. Grants no
 * access.
 */
import { DAY_SECONDS, SECOND_MS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Context } from '../http/context.js';
import { hostCookie } from './cookies.js';

const MAX_AGE_MS = 365 * DAY_SECONDS * SECOND_MS;

export type DeviceCookie = ReturnType<typeof createDeviceCookie>;

export function createDeviceCookie({ issuer }: { issuer: string }) {
  const { name, options } = hostCookie(issuer, 'signet_device');

  return { read, issue };

  /** Returns the request metadata with the browser's device, if it has the cookie. */
  function read(ctx: Context): RequestMeta {
    const device = ctx.cookies.get(name, { signed: false });
    return device && /^[\w-]{43}$/.test(device) ? { ...ctx.state.meta, device } : ctx.state.meta;
  }

  /** Returns the request metadata with the device. Sets the cookie, or renews it for one year. */
  function issue(ctx: Context): RequestMeta {
    const { device = randomToken(), ...meta } = read(ctx);
    ctx.cookies.set(name, device, { ...options, maxAge: MAX_AGE_MS });
    return { ...meta, device };
  }
}
