/**
 * What a certificate says of itself (RFC 5280), read from its DER on any runtime: those few
 * extensions that node:crypto does not tell, or tells as one line of text that would have to be
 * taken apart. Whether anybody stands behind it is for `certificate.ts`.
 */
import { bytesToHex } from '@noble/hashes/utils.js';

/** Until when, and the extensions that are understood here. */
export interface CertificateTraits extends Validity {
  isAuthority: boolean;
  /** How many authorities may stand between this one and the last certificate. */
  pathLength?: number;
  /** Undefined where nothing is said about it. */
  keyUsage?: Set<KeyUse>;
  /**
   * What its holder may prove with it: object identifiers, as bytes in hexadecimal. Undefined where
   * nothing is said about it.
   */
  extendedKeyUsage?: string[];
  uris: string[];
  dnsNames: string[];
  emails: string[];
  /** As bytes in hexadecimal. */
  addresses: string[];
}

export interface Validity {
  notBefore: Date;
  notAfter: Date;
}

export type KeyUse = 'digitalSignature' | 'keyCertSign' | 'cRLSign';

const KEY_USES: Record<KeyUse, number> = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 };
const OID = { keyUsage: '551d0f', alternativeNames: '551d11', basicConstraints: '551d13', extendedKeyUsage: '551d25' };
const UNDERSTOOD: string[] = Object.values(OID);
const CLIENT_AUTH = '2b06010505070302';
const ANY_USE = '551d2500';

/**
 * Undefined for what cannot be read, or has a critical extension that is not understood here (RFC
 * 5280, 4.2: it must be refused).
 */
export function readTraits(certificate: Uint8Array): CertificateTraits | undefined {
  try {
    const signed = elementsOf(elementsOf(only(certificate, TAG.sequence))[0]!.content);
    return traitsFrom(extensionsOf(signed), validityOf(signed));
  } catch {
    return undefined;
  }
}

/** Whether it may be shown by a client: nothing is said about its use, or this one is named. */
export function mayAuthenticateClients({ extendedKeyUsage: uses }: CertificateTraits): boolean {
  return !uses || uses.includes(CLIENT_AUTH) || uses.includes(ANY_USE);
}

interface Extension {
  critical: boolean;
  value: Uint8Array;
}

function traitsFrom(extensions: Map<string, Extension>, validity: Validity): CertificateTraits | undefined {
  for (const [oid, { critical }] of extensions) if (critical && !UNDERSTOOD.includes(oid)) return undefined;
  const contentOf = (oid: string) => extensions.get(oid)?.value;
  return {
    ...validity,
    ...readConstraints(contentOf(OID.basicConstraints)),
    ...readKeyUsage(contentOf(OID.keyUsage)),
    ...readExtendedKeyUsage(contentOf(OID.extendedKeyUsage)),
    ...readNames(contentOf(OID.alternativeNames)),
  };
}

/** `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }` */
function readConstraints(value: Uint8Array | undefined): Pick<CertificateTraits, 'isAuthority' | 'pathLength'> {
  if (!value) return { isAuthority: false };
  const [flag, ...rest] = elementsOf(only(value, TAG.sequence));
  const isAuthority = flag?.tag === TAG.boolean && isTrue(flag);
  const length = (isAuthority ? rest : [flag, ...rest]).find((element) => element?.tag === TAG.integer);
  if (!length) return { isAuthority };
  const [byte, ...more] = length.content;
  return { isAuthority, pathLength: byte === undefined || byte >= 0x80 || more.length > 0 ? 0 : byte }; // no number of authorities: none
}

/** Throws for what others read as true, and DER does not have. */
function isTrue({ content: [byte, ...more] }: Element): boolean {
  if ((byte !== 0 && byte !== 0xff) || more.length > 0) throw new RangeError('neither true nor false');
  return byte === 0xff;
}

/** `BIT STRING`: the first byte says how many of the last bits are padding. */
function readKeyUsage(value: Uint8Array | undefined): Pick<CertificateTraits, 'keyUsage'> {
  if (!value) return {};
  const [, ...bytes] = only(value, TAG.bitString);
  const isSet = (bit: number) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  return { keyUsage: new Set((Object.keys(KEY_USES) as KeyUse[]).filter((use) => isSet(KEY_USES[use]))) };
}

/** `SEQUENCE SIZE (1..MAX) OF OBJECT IDENTIFIER`; one that names nothing is good for nothing. */
function readExtendedKeyUsage(value: Uint8Array | undefined): Pick<CertificateTraits, 'extendedKeyUsage'> {
  if (!value) return {};
  const uses = elementsOf(only(value, TAG.sequence)).filter(({ tag }) => tag === TAG.oid);
  return { extendedKeyUsage: uses.map(({ content }) => bytesToHex(content)) };
}

/** `SEQUENCE OF GeneralName`, each known by its tag. */
function readNames(value: Uint8Array | undefined) {
  const names = value ? elementsOf(only(value, TAG.sequence)) : [];
  const withTag = (tag: number) => names.filter((name) => name.tag === tag).map(({ content }) => content);
  const texts = (tag: number) => withTag(tag).map(textOf);
  const addresses = withTag(0x87).map(bytesToHex);
  return { emails: texts(0x81), dnsNames: texts(0x82), uris: texts(0x86), addresses };
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octets: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  sequence: 0x30,
  version: 0xa0,
  extensions: 0xa3,
};

interface Element {
  tag: number;
  content: Uint8Array;
}

/** By object identifier, in hexadecimal. Throws when one of them stands there twice. */
function extensionsOf(signed: Element[]): Map<string, Extension> {
  const found = signed.find(({ tag }) => tag === TAG.extensions);
  const extensions = new Map<string, Extension>();
  for (const { content } of found ? elementsOf(only(found.content, TAG.sequence)) : []) {
    const parts = elementsOf(content);
    const oid = bytesToHex(parts.find(({ tag }) => tag === TAG.oid)!.content);
    const value = parts.find(({ tag }) => tag === TAG.octets)!.content;
    if (extensions.has(oid)) throw new RangeError('an extension stands there twice');
    extensions.set(oid, { critical: parts.some(({ tag }) => tag === TAG.boolean), value });
  }
  return extensions;
}

/** After version (which may be left out), serial number, algorithm and issuer. */
function validityOf(signed: Element[]): Validity {
  const at = signed[0]!.tag === TAG.version ? 4 : 3;
  const [notBefore, notAfter, ...more] = elementsOf(signed[at]!.content).map(timeOf);
  if (!notBefore || !notAfter || more.length > 0) throw new RangeError('not two times');
  return { notBefore, notAfter };
}

/**
 * `UTCTime` until 2049, `GeneralizedTime` from then on, both in UTC and to the second (RFC 5280,
 * 4.1.2.5).
 */
function timeOf({ tag, content }: Element): Date {
  const text = textOf(content);
  const century = tag === TAG.utcTime ? (Number(text.slice(0, 2)) < 50 ? '20' : '19') : '';
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(century + text) ?? [];
  if (parts.length === 0) throw new RangeError('not a time');
  const [year, month, day, hour, minute, second] = parts.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

const textOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

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
