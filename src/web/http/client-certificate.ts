/**
 * Reads client certificates (mTLS). The client has proven possession of the private key in the TLS
 * handshake with this server or with a trusted proxy, which passes the certificate in a header. The
 * header is ignored from any other sender, because certificates are public (RFC 9700, 4.13).
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

const MAX_HEADER_LENGTH = 16 * 1024;
const MAX_CERTIFICATES = 5;
const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----([\s\w+/=]+)-----END CERTIFICATE-----/g;
/** DER in base64. RFC 9440 puts colons around the value. */
const BASE64_DER = /^:?([\w+/]+={0,2}):?$/;

export type ClientCertificateReader = ReturnType<typeof createClientCertificateReader>;

/** Creates the reader. `header` is the name of the proxy's header, in lower case. */
export function createClientCertificateReader({ header }: { header: string }) {
  const chains = new WeakMap<IncomingMessage, X509Certificate[]>();

  return { captureHeader, certificatesOf };

  /** Reads the certificate and removes the header, before any handler sees the request. */
  function captureHeader(req: IncomingMessage, fromProxy: boolean): void {
    const value = req.headers[header];
    if (value !== undefined) delete req.headers[header];
    if (chains.has(req)) return;
    // A connection from a proxy carries the proxy's own certificate, so only the header counts.
    if (fromProxy && typeof value === 'string') chains.set(req, isSingle(req) ? parseChain(value) : []);
    else if (!fromProxy && req.socket instanceof TLSSocket) chains.set(req, peerChain(req.socket));
  }

  /** Reports whether the header appears once. Of several, one may come from the client. */
  function isSingle(req: IncomingMessage): boolean {
    return req.headersDistinct[header]?.length === 1;
  }

  /**
   * Returns the client certificate and the rest of its chain. Empty without a valid certificate.
   */
  function certificatesOf(req: IncomingMessage): X509Certificate[] {
    return chains.get(req) ?? [];
  }
}

/** Parses certificates in PEM, which can be URL-encoded, or one in base64 DER. */
function parseChain(value: string): X509Certificate[] {
  if (value.length > MAX_HEADER_LENGTH) return [];
  try {
    const decoded = value.includes('%') ? decodeURIComponent(value) : value;
    const pemBodies = [...decoded.matchAll(PEM_CERTIFICATES)].map(([, body]) => body!);
    const bodies = pemBodies.length > 0 ? pemBodies : [BASE64_DER.exec(decoded.trim())?.[1] ?? ''];
    if (bodies.length > MAX_CERTIFICATES) return [];
    return bodies.map((body) => new X509Certificate(Buffer.from(body, 'base64')));
  } catch {
    return [];
  }
}

function peerChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next && chain.length < MAX_CERTIFICATES) {
    const { issuerCertificate } = next;
    chain.push(next);
    next = issuerCertificate?.raw.equals(next.raw) ? undefined : issuerCertificate;
  }
  return chain;
}
