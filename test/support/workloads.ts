// Encodes certificates and certificate authorities as DER (RFC 5280), so that tests can create
// invalid ones too, and bundles of SPIFFE trust domains. New keys are EC P-256.
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';

export interface Holder {
  certificate: X509Certificate;
  privateKey: KeyObject;
  publicKey: KeyObject;
  subject: Buffer;
  pem: string;
}

export interface CertificateRequest {
  commonName?: string;
  organization?: string;
  uris?: string[];
  dnsNames?: string[];
  emails?: string[];
  addresses?: number[][];
  isAuthority?: boolean;
  pathLength?: number;
  /** Bit numbers of the key usage. Undefined leaves the extension out. */
  keyUsage?: number[];
  /** DER content of the object identifiers, in hexadecimal. */
  extendedKeyUsage?: string[];
  extensions?: Buffer[];
  from?: Date;
  to?: Date;
  /** An existing key, in place of a new one. */
  key?: Pick<Holder, 'privateKey' | 'publicKey'> | undefined;
  /** Claims to be signed by an RSA key, with this as the signature. */
  rsaSignature?: Buffer;
}

export const KEY_USE = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 };
export const SERVER_AUTH = '2b06010505070301';
export const CLIENT_AUTH = '2b06010505070302';
const HOUR_MS = 3_600_000;

/** Creates a self-signed certificate authority. */
export const makeAuthority = (commonName = 'Authority', more: CertificateRequest = {}) =>
  issue(undefined, { commonName, isAuthority: true, keyUsage: [KEY_USE.keyCertSign, KEY_USE.cRLSign], ...more });

/** Issues a certificate, self-signed if there is no issuer. */
export function issue(issuer: Holder | undefined, request: CertificateRequest = {}): Holder {
  const { privateKey, publicKey } = request.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { from = new Date(Date.now() - HOUR_MS), to = new Date(Date.now() + HOUR_MS) } = request;
  const subject = nameOf(request);
  const signer = issuer?.privateKey ?? privateKey;
  const algorithm = request.rsaSignature || signer.asymmetricKeyType === 'rsa' ? RSA : ECDSA;
  const signed = tlv(
    0x30,
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    issuer?.subject ?? subject,
    tlv(0x30, time(from), time(to)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, tlv(0x30, ...extensionsOf(request))),
  );
  const signature = request.rsaSignature ?? sign('sha256', signed, signer);
  const certificate = new X509Certificate(tlv(0x30, signed, algorithm, bits(signature)));
  return { certificate, privateKey, publicKey, subject, pem: certificate.toString() };
}

export function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return tlv(0x30, object(oid), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value));
}

function extensionsOf({
  isAuthority,
  pathLength,
  keyUsage,
  extendedKeyUsage,
  extensions = [],
  ...names
}: CertificateRequest) {
  const { uris = [], dnsNames = [], emails = [], addresses = [] } = names;
  const all = [
    ...emails.map((text) => tlv(0x81, Buffer.from(text))),
    ...dnsNames.map((text) => tlv(0x82, Buffer.from(text))),
    ...uris.map((text) => tlv(0x86, Buffer.from(text))),
    ...addresses.map((bytes) => tlv(0x87, Buffer.from(bytes))),
  ];
  const length = pathLength === undefined ? [] : [tlv(0x02, Buffer.from([pathLength]))];
  const flag = isAuthority ? [tlv(0x01, Buffer.from([0xff]))] : [];
  return [
    ...(all.length > 0 ? [extension('551d11', false, tlv(0x30, ...all))] : []),
    ...(isAuthority === undefined ? [] : [extension('551d13', true, tlv(0x30, ...flag, ...length))]),
    ...(keyUsage ? [extension('551d0f', true, keyBits(keyUsage))] : []),
    ...(extendedKeyUsage ? [extension('551d25', false, tlv(0x30, ...extendedKeyUsage.map(object)))] : []),
    ...extensions,
  ];
}

export function tlv(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const header =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(header), content]);
}

const object = (hex: string) => tlv(0x06, Buffer.from(hex, 'hex'));
const bits = (bytes: Buffer) => tlv(0x03, Buffer.from([0]), bytes);
const keyBits = (uses: number[]) => bits(Buffer.from([uses.reduce((all, use) => all | (0x80 >> use), 0)]));
const ECDSA = tlv(0x30, object('2a8648ce3d040302'));
const RSA = tlv(0x30, object('2a864886f70d01010b'), tlv(0x05));
const attribute = (oid: string, text: string) => tlv(0x31, tlv(0x30, object(oid), tlv(0x0c, Buffer.from(text))));
const nameOf = ({ commonName = 'Workload', organization }: CertificateRequest) =>
  tlv(0x30, ...(organization ? [attribute('55040a', organization)] : []), attribute('550403', commonName));
const time = (date: Date) =>
  tlv(
    0x17,
    Buffer.from(
      `${date
        .toISOString()
        .replace(/[-T:]|\.\d+/g, '')
        .slice(2)}`,
    ),
  );

/**
 * Creates a SPIFFE trust domain: its authority, certificates and tokens of workloads, its bundle.
 */
export function makeTrustDomain(name: string) {
  let authority = makeAuthority(`Authority of ${name}`);
  const jwt = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomBytes(8).toString('hex');
  return { name, workload, token, bundle, renewAuthority, authority: () => authority };

  function workload(path = '/ns/shop/sa/api', more: CertificateRequest = {}): Holder {
    const uris = [`spiffe://${name}${path}`];
    return issue(authority, { uris, isAuthority: false, keyUsage: [KEY_USE.digitalSignature], ...more });
  }

  /** Signs a JWT-SVID. `claims` and `header` replace the valid values; undefined removes one. */
  function token(
    audience: string | string[],
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key: KeyObject = jwt.privateKey,
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const all = { sub: `spiffe://${name}/ns/shop/sa/api`, aud: audience, iat: now, exp: now + 300, ...claims };
    return new SignJWT(JSON.parse(JSON.stringify(all)))
      .setProtectedHeader(JSON.parse(JSON.stringify({ alg: 'ES256', kid, typ: 'JWT', ...header })))
      .sign(createPrivateKey({ key: key.export({ type: 'pkcs8', format: 'pem' }) as string }));
  }

  function bundle(): string {
    const x5c = [authority.certificate.raw.toString('base64')];
    const keys = [
      { ...authority.publicKey.export({ format: 'jwk' }), use: 'x509-svid', x5c },
      { ...jwt.publicKey.export({ format: 'jwk' }), use: 'jwt-svid', kid },
    ];
    return JSON.stringify({ spiffe_sequence: 1, spiffe_refresh_hint: 300, keys });
  }

  function renewAuthority(): void {
    authority = makeAuthority(`Authority of ${name}`);
  }
}

export type TrustDomain = ReturnType<typeof makeTrustDomain>;

/** Creates a folder with the bundles of these domains. `write` replaces one atomically. */
export function makeBundleFolder(...domains: TrustDomain[]) {
  const folder = mkdtempSync(join(tmpdir(), 'signet-bundles-'));
  for (const domain of domains) write(domain);
  return { folder, write };

  function write({ name, bundle }: Pick<TrustDomain, 'name' | 'bundle'>): void {
    writeFileSync(join(folder, '.new'), bundle());
    renameSync(join(folder, '.new'), join(folder, `${name}.json`));
  }
}

/** Encodes a certificate chain, leaf first, as nginx does in `$ssl_client_escaped_cert`. */
export const asHeader = (...chain: Holder[]) => encodeURIComponent(chain.map(({ pem }) => pem).join(''));
