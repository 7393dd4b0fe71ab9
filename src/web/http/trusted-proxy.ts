/**
 * Resolves who sent a request. Host, scheme and client address come from the issuer and from
 * trusted proxies only, never from headers that a client can set (RFC 9700, 4.13).
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import proxyAddr from 'proxy-addr';
import { memoizeByIp } from '../../base/ip-address.js';
import type { RequestMeta } from '../../core/request-meta.js';
import type { ClientCertificateReader } from './client-certificate.js';

const REQUEST_ID = /^[\w.:-]{1,100}$/;
/** The prefix of an IPv4 address on a dual-stack socket. Removed, so that logs are readable. */
const MAPPED = /^::ffff:(?=\d+\.)/i;

/** Rewrites the request's forwarding headers and returns who sent it. Call it once per request. */
export type ResolveRequestMeta = (req: IncomingMessage, res: ServerResponse) => RequestMeta;

interface Deps {
  issuer: string;
  trustedProxies: string[];
  certificates: ClientCertificateReader;
}

/**
 * Overwrites the forwarding headers, which Koa and oidc-provider read. The client address is that
 * of the nearest hop that is not a trusted proxy.
 */
export function createResolveRequestMeta({ issuer, trustedProxies, certificates }: Deps): ResolveRequestMeta {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  const matches = proxyAddr.compile(trustedProxies);
  const isTrusted = memoizeByIp((address) => matches(address, 0));

  return function resolveRequestMeta(req, res) {
    const { headers, socket } = req;
    const fromProxy = trustedProxies.length > 0 && isTrusted(socket.remoteAddress ?? '');
    const address = ((fromProxy ? proxyAddr(req, isTrusted) : socket.remoteAddress) ?? '').replace(MAPPED, '');
    const received = fromProxy ? headers['x-request-id'] : undefined;
    const requestId = typeof received === 'string' && REQUEST_ID.test(received) ? received : randomUUID();
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
