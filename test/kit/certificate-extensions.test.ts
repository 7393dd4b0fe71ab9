// Parsing certificates: what RFC 5280 defines, and encodings that BER allows and DER does not.
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { parseCertificateExtensions } from '../../src/kit/certificate-extensions.js';
import { CLIENT_AUTH, extension, issue, KEY_USE, tlv } from '../support/workloads.js';

const OID = { keyUsage: '551d0f', names: '551d11', constraints: '551d13', purposes: '551d25' };
const URI = 'spiffe://example.org/a';
const TRUE = tlv(0x01, Buffer.from([0xff]));
const name = (tag: number) => tlv(tag, Buffer.from(URI));
const time = (tag: number, text: string) => tlv(tag, Buffer.from(text));
const [from, to] = [time(0x17, '260101000000Z'), time(0x17, '360101000000Z')];
const oid = (hex: string) => tlv(0x06, Buffer.from(hex, 'hex'));

/** The fields of a certificate that the parser reads, without key and signature. */
const certificate = (extensions: Buffer[], validity = tlv(0x30, from, to), version: Buffer[] = []) =>
  tlv(0x30, tlv(0x30, ...version, ...Array(3).fill(tlv(0x30)), validity, tlv(0xa3, tlv(0x30, ...extensions))));
const withNames = (...names: Buffer[]) => certificate([extension(OID.names, false, tlv(0x30, ...names))]);
const withConstraints = (...fields: Buffer[]) => certificate([extension(OID.constraints, true, tlv(0x30, ...fields))]);

describe('the certificate parser', () => {
  it('reads the validity period and all extensions it understands', () => {
    const { certificate } = issue(undefined, {
      uris: [URI],
      dnsNames: ['a.example.org'],
      emails: ['a@example.org'],
      addresses: [[192, 0, 2, 1]],
      isAuthority: true,
      pathLength: 3,
      keyUsage: [KEY_USE.digitalSignature, KEY_USE.cRLSign],
      extendedKeyUsage: [CLIENT_AUTH],
      from: new Date('2026-01-01T00:00:00Z'),
      to: new Date('2036-01-01T00:00:00Z'),
    });
    expect(parseCertificateExtensions(certificate.raw)).toEqual({
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2036-01-01T00:00:00Z'),
      isAuthority: true,
      pathLength: 3,
      keyUsage: new Set(['digitalSignature', 'cRLSign']),
      extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'],
      hasNameConstraints: false,
      uris: [URI],
      dnsNames: ['a.example.org'],
      emails: ['a@example.org'],
      addresses: ['c0000201'],
    });
  });

  it('agrees with node:crypto on the authorities that Node.js ships', () => {
    for (const pem of rootCertificates) {
      const root = new X509Certificate(pem);
      const { isAuthority, notAfter } = parseCertificateExtensions(root.raw) ?? {};
      expect([isAuthority, notAfter], root.subject).toEqual([root.ca, new Date(root.validTo)]);
    }
  });

  it('reads a certificate without extensions as one without limits', () => {
    const noExtensions = tlv(0x30, tlv(0x30, ...Array(3).fill(tlv(0x30)), tlv(0x30, from, to)));
    expect(parseCertificateExtensions(noExtensions)).toMatchObject({ isAuthority: false, uris: [] });
    expect(parseCertificateExtensions(noExtensions)).not.toHaveProperty('keyUsage');
  });

  it('reads GeneralizedTime', () => {
    const validity = tlv(0x30, from, time(0x18, '20500101000000Z'));
    expect(parseCertificateExtensions(certificate([], validity))?.notAfter).toEqual(new Date('2050-01-01T00:00:00Z'));
  });

  it('reads the largest path length that occupies one byte, and larger ones', () => {
    const lengthOf = (...bytes: number[]) =>
      parseCertificateExtensions(withConstraints(TRUE, tlv(0x02, Buffer.from(bytes))))?.pathLength;
    expect(lengthOf(0x7f)).toBe(127);
    expect(lengthOf(0x00, 0x80)).toBe(128);
  });

  const valid = withNames(name(0x86));
  /** The valid certificate, with the length at this position one byte too short. */
  const shortened = (at: number) => Buffer.from(valid).fill(valid[at]! - 1, at, at + 1);
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  it.each<[string, Buffer]>([
    ['an empty buffer', Buffer.alloc(0)],
    ['data after the certificate', Buffer.concat([valid, bytes('00')])],
    ['a missing last byte', valid.subarray(0, -1)],
    ['an indefinite length', Buffer.concat([bytes('3080'), valid.subarray(2), bytes('0000')])],
    ['a length with leading zeros', Buffer.concat([bytes('308200'), valid.subarray(1)])],
    ['a field that reaches beyond the certificate', shortened(1)],
    ['a field that reaches beyond its list of fields', shortened(3)],
    ['a URI in pieces', withNames(tlv(0xa6, tlv(0x16, Buffer.from(URI))))],
    ['data after the names', certificate([extension(OID.names, false, Buffer.concat([tlv(0x30), bytes('00')]))])],
    ['names of the wrong type', certificate([extension(OID.names, false, tlv(0x31, name(0x86)))])],
    ['a sequence marked as primitive', certificate([extension(OID.names, false, tlv(0x10, name(0x86)))])],
    ['key usage in pieces', certificate([extension(OID.keyUsage, true, tlv(0x23, tlv(0x03, bytes('0780'))))])],
    ['an extension value in pieces', certificate([tlv(0x30, oid(OID.names), tlv(0x24, tlv(0x04, tlv(0x30))))])],
    ['an extension without a value', certificate([tlv(0x30, oid(OID.names), TRUE)])],
    ['an extension with two values', certificate([tlv(0x30, oid(OID.names), tlv(0x04), tlv(0x04))])],
    ['a flag that is not a boolean', certificate([tlv(0x30, oid('2a03'), tlv(0x05), tlv(0x04))])],
    [
      'two lists of extensions',
      tlv(0x30, tlv(0x30, ...Array(3).fill(tlv(0x30)), tlv(0x30, from, to), tlv(0xa3, tlv(0x30), tlv(0x30)))),
    ],
    ['a repeated extension', certificate(Array(2).fill(extension('2a03', false, tlv(0x05))))],
    ['a padded object identifier', certificate([extension('551d8011', false, tlv(0x30))])],
    ['an empty object identifier', certificate([extension('', false, tlv(0x30))])],
    ['a critical extension that is not understood', certificate([extension('2a03', true, tlv(0x05))])],
    ['TRUE as 0x01', withConstraints(tlv(0x01, bytes('01')))],
    ['TRUE in two bytes', withConstraints(tlv(0x01, bytes('ffff')))],
    ['a boolean without content', withConstraints(tlv(0x01))],
    ['a negative path length', withConstraints(TRUE, tlv(0x02, bytes('ff')))],
    ['a padded path length', withConstraints(TRUE, tlv(0x02, bytes('0001')))],
    ['a path length too large for a number', withConstraints(TRUE, tlv(0x02, bytes('01'.repeat(9))))],
    ['a path length before the flag', withConstraints(tlv(0x02, bytes('01')), TRUE)],
    ['two path lengths', withConstraints(TRUE, tlv(0x02, bytes('01')), tlv(0x02, bytes('05')))],
    [
      'a purpose that is not an object identifier',
      certificate([extension(OID.purposes, false, tlv(0x30, name(0x86)))]),
    ],
    ['key usage of the wrong type', certificate([extension(OID.keyUsage, true, tlv(0x04, bytes('0780')))])],
    ['a version that is not wrapped', certificate([], undefined, [tlv(0x80, bytes('02'))])],
    ['a validity with one time', certificate([], tlv(0x30, from))],
    ['a validity with three times', certificate([], tlv(0x30, from, to, to))],
    ['a time without seconds', certificate([], tlv(0x30, from, time(0x17, '3601010000Z')))],
    ['a time with an offset', certificate([], tlv(0x30, from, time(0x17, '360101000000+0100')))],
    ['a time with fractions of a second', certificate([], tlv(0x30, from, time(0x18, '20360101000000.5Z')))],
    ['a time with a prefix', certificate([], tlv(0x30, from, time(0x17, 'x360101000000Z')))],
    ['a four-digit year in UTCTime', certificate([], tlv(0x30, from, time(0x17, '20360101000000Z')))],
    ['a time of another type', certificate([], tlv(0x30, from, time(0x1a, '360101000000Z')))],
  ])('rejects %s', (_, der) => {
    expect(parseCertificateExtensions(valid)?.uris).toEqual([URI]);
    expect(parseCertificateExtensions(der)).toBeUndefined();
  });

  it('rejects nesting of any depth without exhausting the stack', () => {
    const deep = Buffer.concat([Buffer.from('3080'.repeat(8000), 'hex'), Buffer.alloc(16_000)]);
    expect(parseCertificateExtensions(deep)).toBeUndefined();
  });
});
