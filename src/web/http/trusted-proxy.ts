/**
 * Makes every request look as if it came straight to the issuer: what a client says about host and
 * scheme decides nothing.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Next } from 'koa';
import proxyAddr from 'proxy-addr';
import { memoizeByIp } from '../../base/ip-address.js';
import type { RequestMeta } from '../../core/request-meta.js';
import type { ClientCertificateReader } from './client-certificate.js';
import type { Context } from './context.js';

const REQUEST_ID = /^[\w.:-]{1,100}$/;
/**
 * How a socket that takes both kinds of addresses writes one of IPv4: nobody should have to read
 * it.
 */
const MAPPED = /^::ffff:(?=\d+\.)/i;

/** Pins a request and says who sent it. Done twice it changes nothing more. */
export type ResolveRequestMeta = (req: IncomingMessage, res: ServerResponse) => RequestMeta;

interface Deps {
  issuer: string;
  trustedProxies: string[];
  certificates: ClientCertificateReader;
}

/**
 * Sets the headers that Koa and the OAuth provider read from the issuer and from the nearest hop
 * that is not a trusted proxy (RFC 9700, 4.13: headers of strangers are not believed).
 */
export function createResolveRequestMeta({ issuer, trustedProxies, certificates }: Deps): ResolveRequestMeta {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  const decide = proxyAddr.compile(trustedProxies);
  const isTrusted = memoizeByIp((address) => decide(address, 0));

  return function resolveRequestMeta(req, res) {
    const { headers, socket } = req;
    const fromProxy = trustedProxies.length > 0 && isTrusted(socket.remoteAddress ?? '');
    const address = ((fromProxy ? proxyAddr(req, isTrusted) : socket.remoteAddress) ?? '').replace(MAPPED, '');
    const given = fromProxy ? headers['x-request-id'] : undefined;
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    certificates.captureHeader(req, fromProxy);
    headers.host = host;
    headers['x-forwarded-proto'] = scheme;
    headers['x-forwarded-for'] = address;
    delete headers['x-forwarded-host'];
    delete headers.forwarded;
    res.setHeader('X-Request-Id', requestId);
    return { address, userAgent: String(headers['user-agent'] ?? '').slice(0, 400), requestId };
  };
}

/** Sets `ctx.state.meta` and `ctx.state.certificates`. */
export function requestMeta(pin: ResolveRequestMeta, certificates: ClientCertificateReader) {
  return async function requestMeta(ctx: Context, next: Next): Promise<void> {
    ctx.state.meta = pin(ctx.req, ctx.res);
    ctx.state.certificates = certificates.certificatesOf(ctx.req);
    await next();
  };
}
