/**
 * Creates the request metadata. Host and scheme come from the issuer, the client address from the
 * connection or from trusted proxies: never from headers that a client can set (RFC 9700, 4.13).
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import proxyAddr from 'proxy-addr';
import { memoizeByIp } from '../../base/ip-address.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { ClientCertificateReader } from './client-certificate.js';

const REQUEST_ID = /^[\w.:-]{1,100}$/;
/** The prefix of an IPv4 address on a dual-stack socket. Removed, so that logs are readable. */
const IPV4_MAPPED_PREFIX = /^::ffff:(?=\d+\.)/i;

/**
 * Overwrites the request's forwarding headers and returns its metadata. Call it once per request.
 */
export type RequestMetaResolver = (req: IncomingMessage, res: ServerResponse) => RequestMeta;

interface Deps {
  issuer: string;
  trustedProxies: string[];
  certificates: ClientCertificateReader;
}

/**
 * Creates the resolver. It overwrites the forwarding headers, because Koa and oidc-provider read
 * them. The client address is that of the nearest hop that is not a trusted proxy.
 */
export function createRequestMetaResolver({ issuer, trustedProxies, certificates }: Deps): RequestMetaResolver {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  const isProxyAddress = proxyAddr.compile(trustedProxies);
  const isTrusted = memoizeByIp((address) => isProxyAddress(address, 0));

  return function resolveRequestMeta(req, res) {
    const { headers, socket } = req;
    const fromProxy = trustedProxies.length > 0 && isTrusted(socket.remoteAddress ?? '');
    const address = ((fromProxy ? proxyAddr(req, isTrusted) : socket.remoteAddress) ?? '').replace(
      IPV4_MAPPED_PREFIX,
      '',
    );
    const proxyRequestId = fromProxy ? headers['x-request-id'] : undefined;
    const requestId =
      typeof proxyRequestId === 'string' && REQUEST_ID.test(proxyRequestId) ? proxyRequestId : randomUUID();
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
