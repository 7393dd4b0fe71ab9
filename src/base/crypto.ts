/** Random values, hashes and the keys that are derived from the master secret. */
import { createHmac, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';

const KEY_BYTES = 32;

/** A secret for somebody to carry: 256 bits unless told otherwise, base64url. */
export const randomToken = (bytes = 32) => randomBytes(bytes).toString('base64url');

/**
 * SHA-256, base64url. For secrets that are random themselves; passwords go through
 * `core/accounts/passwords`.
 */
export const sha256 = (value: string) => hash('sha256', value, 'base64url');

export const hmacSha256 = (key: Uint8Array, value: string) =>
  createHmac('sha256', key).update(value).digest('base64url');

/** Compares without telling by its time where the difference is. Lengths are not secret. */
export function constantTimeEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/**
 * Keys for one purpose each, from the master secret. After a change of `SECRET` the previous one
 * still opens.
 */
export interface Secrets {
  /** The key that signs and seals. */
  key(purpose: string): Buffer;
  /** All keys that may open, the current one first. */
  keys(purpose: string): Buffer[];
  /**
   * Encrypts text for storage (JWE, A256GCM). What it is bound to is authenticated with it, and can
   * be read by anybody.
   */
  seal(purpose: string, text: string, boundTo?: string): Promise<string>;
  /**
   * The text that was sealed. Throws when neither the current nor the previous secret opens it, or
   * when it is bound to something else.
   */
  open(purpose: string, sealed: string, boundTo?: string): Promise<string>;
}

export function createSecrets(secret: string, previous?: string): Secrets {
  const masters = previous ? [secret, previous] : [secret];
  const derived = new Map<string, Buffer[]>();

  return { key: (purpose) => keys(purpose)[0]!, keys, seal, open };

  function keys(purpose: string): Buffer[] {
    let list = derived.get(purpose);
    if (!list) {
      list = masters.map((master) => Buffer.from(hkdfSync('sha256', master, 'signet', purpose, KEY_BYTES)));
      derived.set(purpose, list);
    }
    return list;
  }

  async function seal(purpose: string, text: string, boundTo?: string): Promise<string> {
    return new CompactEncrypt(Buffer.from(text))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', ...(boundTo && { for: boundTo }) })
      .encrypt(keys(purpose)[0]!);
  }

  async function open(purpose: string, sealed: string, boundTo?: string): Promise<string> {
    let failure: unknown;
    for (const key of keys(purpose)) {
      try {
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        if (protectedHeader.for !== boundTo) throw new Error('it was sealed for something else');
        return Buffer.from(plaintext).toString();
      } catch (error) {
        failure = error;
      }
    }
    throw new Error(
      `What was stored for "${purpose}" cannot be opened: SECRET is not the one that it was sealed with`,
      {
        cause: failure,
      },
    );
  }
}

/** A UUID whose order is the order of time (RFC 9562, version 7). */
export function uuidv7(now: Date): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now.getTime(), 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
