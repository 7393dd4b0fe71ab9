/**
 * Certificates of clients (RFC 5280): what one says of itself, and whether an authority stands behind it. Signatures and names are
 * compared by node:crypto. It does not tell what a key may be used for, how long a path may be, or what else is critical, and it tells
 * the alternative names as one line of text that would have to be taken apart: those few extensions are read here, from their DER.
 */
import type { X509Certificate } from 'node:crypto';

/** The extensions that are understood here. */
export interface CertificateTraits {
  isAuthority: boolean;
  /** How many authorities may stand between this one and the last certificate. */
  pathLength?: number;
  /** Undefined where nothing is said about it. */
  keyUsage?: Set<KeyUse>;
  uris: string[];
  dnsNames: string[];
  emails: string[];
  /** As bytes in hexadecimal. */
  addresses: string[];
}

export type KeyUse = 'digitalSignature' | 'keyCertSign' | 'cRLSign';

const KEY_USES: Record<KeyUse, number> = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 };
const OID = { keyUsage: '551d0f', alternativeNames: '551d11', basicConstraints: '551d13', extendedKeyUsage: '551d25' };
const UNDERSTOOD: string[] = Object.values(OID);
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USE = '2.5.29.37.0';

/** Undefined for what cannot be read, or has a critical extension that is not understood here (RFC 5280, 4.2: it must be refused). */
export function traitsOf(certificate: X509Certificate): CertificateTraits | undefined {
  try {
    return readTraits(extensionsOf(certificate.raw));
  } catch {
    return undefined;
  }
}

/** Whether it may be shown by a client: nothing is said about its use, or this one is named. */
export function mayAuthenticateClients({ keyUsage }: X509Certificate): boolean {
  const uses: readonly string[] | undefined = keyUsage; // what Node calls so are the extended ones
  return !uses || uses.length === 0 || uses.includes(CLIENT_AUTH) || uses.includes(ANY_USE);
}

/** Whether a path leads from the first certificate, by way of the others, to one of the authorities, and all of it is of now. */
export function leadsToAuthority(
  [first, ...others]: X509Certificate[],
  authorities: readonly X509Certificate[],
  now = new Date(),
): boolean {
  if (!first || !isOfNow(first, now)) return false;
  return climb(first, others, 0);

  function climb(from: X509Certificate, between: X509Certificate[], passed: number): boolean {
    if (authorities.some((authority) => isIssuer(authority, from, passed))) return true;
    return between.some((next, n) => isIssuer(next, from, passed) && climb(next, between.toSpliced(n, 1), passed + 1));
  }

  function isIssuer(issuer: X509Certificate, of: X509Certificate, passed: number): boolean {
    if (!of.checkIssued(issuer) || !isOfNow(issuer, now)) return false;
    const { isAuthority, pathLength = Number.POSITIVE_INFINITY, keyUsage } = traitsOf(issuer) ?? {};
    if (!isAuthority || pathLength < passed || keyUsage?.has('keyCertSign') === false) return false;
    return isSignedBy(of, issuer);
  }
}

/** `x5t#S256` (RFC 8705, 3.1). */
export function certificateHash({ fingerprint256 }: X509Certificate): string {
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function isOfNow({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return new Date(validFrom) <= now && now <= new Date(validTo);
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key of another kind
  }
}

interface Extension {
  critical: boolean;
  value: Uint8Array;
}

function readTraits(extensions: Map<string, Extension>): CertificateTraits | undefined {
  for (const [oid, { critical }] of extensions) if (critical && !UNDERSTOOD.includes(oid)) return undefined;
  const contentOf = (oid: string) => extensions.get(oid)?.value;
  return {
    ...readConstraints(contentOf(OID.basicConstraints)),
    ...readKeyUsage(contentOf(OID.keyUsage)),
    ...readNames(contentOf(OID.alternativeNames)),
  };
}

/** `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }` */
function readConstraints(value: Uint8Array | undefined): Pick<CertificateTraits, 'isAuthority' | 'pathLength'> {
  if (!value) return { isAuthority: false };
  const [flag, ...rest] = elementsOf(only(value, TAG.sequence));
  const isAuthority = flag?.tag === TAG.boolean && flag.content[0] === 0xff;
  const length = (isAuthority ? rest : [flag, ...rest]).find((element) => element?.tag === TAG.integer);
  if (!length) return { isAuthority };
  return { isAuthority, pathLength: length.content.length === 1 ? length.content[0]! & 0x7f : 0 };
}

/** `BIT STRING`: the first byte says how many of the last bits are padding. */
function readKeyUsage(value: Uint8Array | undefined): Pick<CertificateTraits, 'keyUsage'> {
  if (!value) return {};
  const [, ...bytes] = only(value, TAG.bitString);
  const isSet = (bit: number) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  return { keyUsage: new Set((Object.keys(KEY_USES) as KeyUse[]).filter((use) => isSet(KEY_USES[use]))) };
}

/** `SEQUENCE OF GeneralName`, each known by its tag. */
function readNames(value: Uint8Array | undefined) {
  const names = value ? elementsOf(only(value, TAG.sequence)) : [];
  const withTag = (tag: number) => names.filter((name) => name.tag === tag).map(({ content }) => Buffer.from(content));
  const texts = (tag: number) => withTag(tag).map((bytes) => bytes.toString('latin1'));
  const addresses = withTag(0x87).map((bytes) => bytes.toString('hex'));
  return { emails: texts(0x81), dnsNames: texts(0x82), uris: texts(0x86), addresses };
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octets: 0x04,
  oid: 0x06,
  sequence: 0x30,
  extensions: 0xa3,
};

interface Element {
  tag: number;
  content: Uint8Array;
}

/** By object identifier, in hexadecimal. Throws when it is no certificate, or has one of them twice. */
function extensionsOf(certificate: Uint8Array): Map<string, Extension> {
  const [signed] = elementsOf(only(certificate, TAG.sequence));
  const found = elementsOf(signed!.content).find(({ tag }) => tag === TAG.extensions);
  const extensions = new Map<string, Extension>();
  for (const { content } of found ? elementsOf(only(found.content, TAG.sequence)) : []) {
    const parts = elementsOf(content);
    const oid = Buffer.from(parts.find(({ tag }) => tag === TAG.oid)!.content).toString('hex');
    const value = parts.find(({ tag }) => tag === TAG.octets)!.content;
    if (extensions.has(oid)) throw new RangeError('an extension stands there twice');
    extensions.set(oid, { critical: parts.some(({ tag }) => tag === TAG.boolean), value });
  }
  return extensions;
}

/** The content of the one element that there must be. */
function only(der: Uint8Array, tag: number): Uint8Array {
  const [element, ...rest] = elementsOf(der);
  if (element?.tag !== tag || rest.length > 0) throw new RangeError('not the element that was expected');
  return element.content;
}

/** The elements that stand beside each other (X.690, 8.1, with the lengths of DER). */
function elementsOf(der: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < der.length; ) {
    const tag = der[at]!;
    let length = der[at + 1] ?? Number.NaN;
    at += 2;
    if (length >= 0x80) {
      const bytes = length & 0x7f;
      if (bytes === 0 || bytes > 4) throw new RangeError('a length that DER does not have');
      length = 0;
      for (let n = 0; n < bytes; n += 1) length = length * 256 + (der[at + n] ?? Number.NaN);
      at += bytes;
    }
    if (!(at + length <= der.length)) throw new RangeError('shorter than it says');
    elements.push({ tag, content: der.subarray(at, at + length) });
    at += length;
  }
  return elements;
}
