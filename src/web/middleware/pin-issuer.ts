/** Makes every request look as if it came straight to the issuer: what a client says about host and scheme decides nothing. */
import { randomUUID } from 'node:crypto';
import type { Next } from 'koa';
import proxyAddr from 'proxy-addr';
import { rememberByAddress } from '../../base/address.js';
import type { Context } from '../state.js';

const REQUEST_ID = /^[\w.:-]{1,100}$/;

/**
 * Sets `ctx.state.caller`, and the headers that Koa and the OAuth provider read, from the issuer and from the nearest hop that
 * is not a trusted proxy (RFC 9700, 4.13: headers of strangers are not believed).
 */
export function pinIssuer({ issuer, trustedProxies }: { issuer: string; trustedProxies: string[] }) {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  const decide = proxyAddr.compile(trustedProxies);
  const isTrusted = rememberByAddress((address) => decide(address, 0));

  return async function pinIssuer(ctx: Context, next: Next): Promise<void> {
    const { headers, socket } = ctx.req;
    const fromProxy = trustedProxies.length > 0 && isTrusted(socket.remoteAddress ?? '');
    const address = (fromProxy ? proxyAddr(ctx.req, isTrusted) : socket.remoteAddress) ?? '';
    const given = fromProxy ? headers['x-request-id'] : undefined;
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    headers.host = host;
    headers['x-forwarded-proto'] = scheme;
    headers['x-forwarded-for'] = address;
    delete headers['x-forwarded-host'];
    delete headers.forwarded;
    ctx.state.caller = { address, userAgent: String(headers['user-agent'] ?? '').slice(0, 400), requestId };
    ctx.set('X-Request-Id', requestId);
    await next();
  };
}
