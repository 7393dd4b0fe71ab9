/**
 * Client certificates (mTLS) whose private key was proven by TLS: to a trusted proxy, which passes
 * the certificate in a header, or to this server. The header is ignored from any other sender,
 * because certificates are public (RFC 9700, 4.13).
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

const MAX_LENGTH = 16 * 1024;
const MAX_CERTIFICATES = 5;
const PEM = /-----BEGIN CERTIFICATE-----([\s\w+/=]+)-----END CERTIFICATE-----/g;
/** RFC 9440 puts colons around the value. */
const DER = /^:?([\w+/]+={0,2}):?$/;

export type ClientCertificateReader = ReturnType<typeof createClientCertificateReader>;

/** `header` is the name of the header, in lower case. */
export function createClientCertificateReader({ header }: { header: string }) {
  const chains = new WeakMap<IncomingMessage, X509Certificate[]>();

  return { captureHeader, certificatesOf };

  /** Reads the certificate and removes the header, before any handler sees the request. */
  function captureHeader(req: IncomingMessage, fromProxy: boolean): void {
    const text = req.headers[header];
    if (text !== undefined) delete req.headers[header];
    if (chains.has(req)) return;
    // A connection from a proxy carries the proxy's own certificate, so only the header counts.
    if (fromProxy && typeof text === 'string') chains.set(req, isAlone(req) ? chainIn(text) : []);
    else if (!fromProxy && req.socket instanceof TLSSocket) chains.set(req, chainOf(req.socket));
  }

  /** Reports whether there is one header. Of several, one may come from the client. */
  function isAlone(req: IncomingMessage): boolean {
    return req.headersDistinct[header]?.length === 1;
  }

  /**
   * Returns the certificate, then the rest of its chain. Empty without a valid certificate.
   */
  function certificatesOf(req: IncomingMessage): X509Certificate[] {
    return chains.get(req) ?? [];
  }
}

/** Parses certificates in PEM, plain or URL-encoded, or one in base64 DER. */
function chainIn(text: string): X509Certificate[] {
  if (text.length > MAX_LENGTH) return [];
  try {
    const plain = text.includes('%') ? decodeURIComponent(text) : text;
    const inPem = [...plain.matchAll(PEM)].map(([, body]) => body!);
    const encoded = inPem.length > 0 ? inPem : [DER.exec(plain.trim())?.[1] ?? ''];
    if (encoded.length > MAX_CERTIFICATES) return [];
    return encoded.map((body) => new X509Certificate(Buffer.from(body, 'base64')));
  } catch {
    return [];
  }
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next && chain.length < MAX_CERTIFICATES) {
    const { issuerCertificate } = next;
    chain.push(next);
    next = issuerCertificate?.raw.equals(next.raw) ? undefined : issuerCertificate;
  }
  return chain;
}
