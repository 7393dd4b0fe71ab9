/** As much of a certificate (RFC 5280) as a workload's identity needs, read from DER on any runtime. Signatures are not checked here. */

export interface LeafCertificate {
  /** URIs among its alternative names. */
  uris: string[];
  isAuthority: boolean;
  /** For digital signatures, and not for signing certificates or lists of revoked ones. */
  mayOnlySign: boolean;
  notBefore: Date;
  notAfter: Date;
}

interface Element {
  tag: number;
  content: Uint8Array;
}

const TAG = {
  boolean: 0x01,
  bits: 0x03,
  bytes: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  sequence: 0x30,
  version: 0xa0,
  extensions: 0xa3,
};
const URI_NAME = 0x86;
const OID = { keyUsage: '551d0f', alternativeNames: '551d11', basicConstraints: '551d13' };
/** The first byte of the bit string: digitalSignature is its highest bit, keyCertSign and cRLSign the sixth and seventh. */
const USAGE = { digitalSignature: 0x80, signsCertificates: 0x06 };
const MAX_LENGTH = 16_384;

/** From a header: PEM, also percent-encoded or with its line breaks lost, or the Base64 of RFC 9440. Undefined for anything else. */
export function certificateFrom(header: string): LeafCertificate | undefined {
  if (header.length > MAX_LENGTH) return undefined;
  try {
    const text = header.includes('%') ? decodeURIComponent(header) : header;
    const base64 = text.replace(/-----(BEGIN|END) CERTIFICATE-----|\s|^:|:$/g, '');
    return parseCertificate(Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0)));
  } catch {
    return undefined; // whatever was sent, it is no certificate
  }
}

/** Throws for what is no certificate. */
function parseCertificate(der: Uint8Array): LeafCertificate {
  const certificate = only(der, TAG.sequence);
  const body = elements(elements(certificate)[0]!.content);
  // version?, serial, signature, issuer, validity, …
  const at = body[0]!.tag === TAG.version ? 1 : 0;
  const [notBefore, notAfter] = elements(body[at + 3]!.content).map(toDate);
  const extensions = readExtensions(body.find(({ tag }) => tag === TAG.extensions));
  const names = extensions.get(OID.alternativeNames);
  const constraints = extensions.get(OID.basicConstraints);
  const usage = usageOf(extensions.get(OID.keyUsage));
  return {
    uris: (names ? elements(only(names, TAG.sequence)) : [])
      .filter(({ tag }) => tag === URI_NAME)
      .map(({ content }) => String.fromCharCode(...content)),
    isAuthority: constraints ? elements(only(constraints, TAG.sequence)).some(isTrue) : false,
    mayOnlySign: (usage & USAGE.digitalSignature) !== 0 && (usage & USAGE.signsCertificates) === 0,
    notBefore: notBefore!,
    notAfter: notAfter!,
  };
}

/** By object identifier, in hexadecimal. Two of one kind are one too many. */
function readExtensions(holder: Element | undefined): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  if (!holder) return found;
  for (const { content } of elements(only(holder.content, TAG.sequence))) {
    const [id, ...rest] = elements(content);
    const value = rest.at(-1);
    if (id?.tag !== TAG.oid || value?.tag !== TAG.bytes) throw new Error('no extension');
    const name = Array.from(id.content, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (found.has(name)) throw new Error('an extension stands there twice');
    found.set(name, value.content);
  }
  return found;
}

function usageOf(extension: Uint8Array | undefined): number {
  return extension ? (only(extension, TAG.bits)[1] ?? 0) : 0;
}

const isTrue = ({ tag, content }: Element) => tag === TAG.boolean && content[0] !== 0;

function toDate({ tag, content }: Element): Date {
  const text = String.fromCharCode(...content);
  const year = tag === TAG.utcTime ? (Number(text.slice(0, 2)) < 50 ? '20' : '19') : '';
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(year + text) ?? [];
  if (parts.length === 0) throw new Error('no date');
  const [y, month, day, hour, minute, second] = parts.map(Number) as [number, number, number, number, number, number];
  return new Date(Date.UTC(y, month - 1, day, hour, minute, second));
}

/** The content of the one element that these bytes are. */
function only(bytes: Uint8Array, tag: number): Uint8Array {
  const [element, ...more] = elements(bytes);
  if (element?.tag !== tag || more.length > 0) throw new Error('another element was expected');
  return element.content;
}

function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at]!;
    let length = bytes[at + 1]!;
    at += 2;
    if (length > 0x80) {
      const size = length & 0x7f;
      length = 0;
      for (const byte of bytes.subarray(at, at + size)) length = length * 256 + byte;
      at += size;
    } else if (length === 0x80) throw new Error('of no definite length');
    if (!(at + length <= bytes.length)) throw new Error('cut off');
    found.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}
