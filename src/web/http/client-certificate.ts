/**
 * The certificate whose key a client holds, as TLS has proven: to a trusted proxy, which hands it
 * on in a header, or to this very server. A header of anybody else is no proof, for certificates
 * are public (RFC 9700, 4.13).
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

const MAX_LENGTH = 16 * 1024;
const MAX_CERTIFICATES = 5;
const PEM = /-----BEGIN CERTIFICATE-----([\s\w+/=]+)-----END CERTIFICATE-----/g;
/** Also between colons, as RFC 9440 has it. */
const DER = /^:?([\w+/]+={0,2}):?$/;

export type ClientCertificateReader = ReturnType<typeof createClientCertificateReader>;

/** `header`: its name, in small letters. */
export function createClientCertificateReader({ header }: { header: string }) {
  const chains = new WeakMap<IncomingMessage, X509Certificate[]>();

  return { captureHeader, certificatesOf };

  /**
   * Done before anything else looks at a request, which then holds no such header any more. A
   * second time changes nothing.
   */
  function captureHeader(req: IncomingMessage, fromProxy: boolean): void {
    const text = req.headers[header];
    if (text !== undefined) delete req.headers[header];
    if (chains.has(req)) return;
    // What a proxy shows of itself says nothing of its clients.
    if (fromProxy && typeof text === 'string') chains.set(req, isAlone(req) ? chainIn(text) : []);
    else if (!fromProxy && req.socket instanceof TLSSocket) chains.set(req, chainOf(req.socket));
  }

  /** Of several headers, one is a stranger's that the proxy let pass: none is believed. */
  function isAlone(req: IncomingMessage): boolean {
    return req.headersDistinct[header]?.length === 1;
  }

  /**
   * The certificate, and after it those that came along. Empty where there is none, or none that
   * can be read.
   */
  function certificatesOf(req: IncomingMessage): X509Certificate[] {
    return chains.get(req) ?? [];
  }
}

/** One or more certificates as PEM, plain or URL-encoded, or one as base64 DER. */
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
