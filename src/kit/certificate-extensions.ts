/**
 * Reads the validity period and the extensions of a certificate (RFC 5280) on any runtime. Some
 * runtimes have no node:crypto, and others report key usage differently. `certificate.ts` decides
 * whether the certificate can be trusted.
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import * as asn1 from 'asn1js';
import { childrenOf, decodeDer, isTagged, requireType } from './der.js';

/** The validity period, and the extensions that Signet understands. */
export interface CertificateExtensions {
  notBefore: Date;
  notAfter: Date;
  isAuthority: boolean;
  /** The number of intermediate authorities allowed below this one. Undefined: no limit. */
  pathLength?: number;
  /** Undefined: the certificate does not limit how its key is used. */
  keyUsage?: Set<KeyUse>;
  /** Dotted object identifiers. Undefined: the certificate can be used for any purpose. */
  extendedKeyUsage?: string[];
  /** Whether an authority limits the names in the certificates below it (RFC 5280, 4.2.1.10). */
  hasNameConstraints: boolean;
  uris: string[];
  dnsNames: string[];
  emails: string[];
  /** IP addresses, as bytes in hexadecimal. */
  addresses: string[];
}

export type KeyUse = 'digitalSignature' | 'keyCertSign' | 'cRLSign';

/** The bits of `KeyUsage`, counted from the first (RFC 5280, 4.2.1.3). */
const KEY_USE_BITS: Record<KeyUse, number> = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 };
/** The tags of `GeneralName` (RFC 5280, 4.2.1.6). */
const NAME_TAGS = { emails: 1, dnsNames: 2, uris: 6, addresses: 7 };
const OID = {
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
};
const NAME_CONSTRAINTS = '2.5.29.30';
const SUPPORTED_EXTENSIONS: string[] = Object.values(OID);
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';

/**
 * Returns the extensions of a certificate in DER. Returns undefined if the certificate is
 * malformed, or must be rejected because it has an unsupported critical extension (RFC 5280, 4.2).
 * Never throws.
 */
export function parseCertificateExtensions(der: Uint8Array): CertificateExtensions | undefined {
  try {
    const [tbsCertificate] = childrenOf(decodeDer(der, asn1.Sequence));
    const fields = childrenOf(tbsCertificate);
    const extensions = readExtensions(fields.find((field) => isTagged(field, 3)));
    const valueFor = (oid: string) => extensions.get(oid)?.value;
    if ([...extensions].some(([oid, { critical }]) => critical && !SUPPORTED_EXTENSIONS.includes(oid)))
      return undefined;
    return {
      ...readValidity(fields),
      ...readBasicConstraints(valueFor(OID.basicConstraints)),
      ...readKeyUsage(valueFor(OID.keyUsage)),
      ...readExtendedKeyUsage(valueFor(OID.extendedKeyUsage)),
      hasNameConstraints: extensions.has(NAME_CONSTRAINTS),
      ...readNames(valueFor(OID.subjectAlternativeName)),
    };
  } catch {
    return undefined;
  }
}

/**
 * Reports whether a TLS client can present this certificate: it allows `clientAuth`, or any
 * purpose.
 */
export function allowsClientAuthentication({ extendedKeyUsage: purposes }: CertificateExtensions): boolean {
  return !purposes || purposes.includes(CLIENT_AUTH) || purposes.includes(ANY_PURPOSE);
}

interface Extension {
  critical: boolean;
  value: Uint8Array;
}

/** `[3] EXPLICIT SEQUENCE OF Extension`, by object identifier. Throws if one occurs twice. */
function readExtensions(field: asn1.BaseBlock | undefined): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  if (!field) return extensions;
  const [list, ...rest] = childrenOf(field);
  if (rest.length > 0) throw new TypeError('two lists of extensions');
  for (const extension of childrenOf(list)) {
    const [oid, ...rest] = childrenOf(extension);
    const id = requireType(oid, asn1.ObjectIdentifier).getValue();
    const { valueHexView: value } = requireType(rest.pop(), asn1.OctetString).valueBlock;
    const [flag, ...more] = rest;
    if (flag) requireType(flag, asn1.Boolean);
    if (more.length > 0 || extensions.has(id)) throw new TypeError('malformed or repeated extension');
    // In DER, the flag is present only if it is TRUE. An explicit FALSE also counts as critical.
    extensions.set(id, { critical: flag !== undefined, value });
  }
  return extensions;
}

/**
 * `SEQUENCE { notBefore, notAfter }`, after version (optional), serial number, algorithm, issuer.
 */
function readValidity(fields: asn1.BaseBlock[]): Pick<CertificateExtensions, 'notBefore' | 'notAfter'> {
  const hasVersion = fields[0] instanceof asn1.Constructed && isTagged(fields[0], 0);
  const [notBefore, notAfter, ...more] = childrenOf(fields[hasVersion ? 4 : 3]).map(dateOf);
  if (!notBefore || !notAfter || more.length > 0) throw new TypeError('expected two times');
  return { notBefore, notAfter };
}

/** `UTCTime` or `GeneralizedTime`, in UTC and with seconds, nothing else (RFC 5280, 4.1.2.5). */
function dateOf(field: asn1.BaseBlock): Date {
  const time = requireType(field, asn1.UTCTime); // the class of GeneralizedTime derives from it
  const digits = time instanceof asn1.GeneralizedTime ? 14 : 12;
  const text = latin1(time.valueBlock.valueHexView);
  if (text.length !== digits + 1 || !/^\d+Z$/.test(text)) throw new TypeError('wrong time');
  return time.toDate();
}

/** `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }` */
function readBasicConstraints(
  value: Uint8Array | undefined,
): Pick<CertificateExtensions, 'isAuthority' | 'pathLength'> {
  if (!value) return { isAuthority: false };
  const [first, ...rest] = childrenOf(decodeDer(value, asn1.Sequence));
  const isAuthority = first instanceof asn1.Boolean && first.getValue();
  const [pathLength, ...more] = first instanceof asn1.Boolean || !first ? rest : [first, ...rest];
  if (more.length > 0) throw new TypeError('unexpected field in the basic constraints');
  return pathLength ? { isAuthority, pathLength: nonNegative(requireType(pathLength, asn1.Integer)) } : { isAuthority };
}

function nonNegative({ valueBlock }: asn1.Integer): number {
  // The warning means that the number is too long for its value, or too large to be exact.
  if (valueBlock.warnings.length > 0 || valueBlock.valueDec < 0) throw new TypeError('wrong path length');
  return valueBlock.valueDec;
}

/** `BIT STRING` */
function readKeyUsage(value: Uint8Array | undefined): Pick<CertificateExtensions, 'keyUsage'> {
  if (!value) return {};
  const bytes = decodeDer(value, asn1.BitString).valueBlock.valueHexView;
  const isSet = (bit: number) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  return { keyUsage: new Set((Object.keys(KEY_USE_BITS) as KeyUse[]).filter((use) => isSet(KEY_USE_BITS[use]))) };
}

/** `SEQUENCE OF OBJECT IDENTIFIER`. An empty one allows no purpose at all. */
function readExtendedKeyUsage(value: Uint8Array | undefined): Pick<CertificateExtensions, 'extendedKeyUsage'> {
  if (!value) return {};
  const purposes = childrenOf(decodeDer(value, asn1.Sequence));
  return { extendedKeyUsage: purposes.map((purpose) => requireType(purpose, asn1.ObjectIdentifier).getValue()) };
}

/** `SEQUENCE OF GeneralName` */
function readNames(value: Uint8Array | undefined) {
  const names = value ? childrenOf(decodeDer(value, asn1.Sequence)) : [];
  const bytesOf = (tag: number) =>
    names
      .filter((name) => isTagged(name, tag))
      .map((name) => requireType(name, asn1.Primitive).valueBlock.valueHexView);
  const textsOf = (tag: number) => bytesOf(tag).map(latin1);
  return {
    emails: textsOf(NAME_TAGS.emails),
    dnsNames: textsOf(NAME_TAGS.dnsNames),
    uris: textsOf(NAME_TAGS.uris),
    addresses: bytesOf(NAME_TAGS.addresses).map(bytesToHex),
  };
}

const latin1 = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
