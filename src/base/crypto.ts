/** Random values, hashes, and keys derived from the master secret. */
import { createHmac, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';

const KEY_BYTES = 32;

/** Returns a random secret in base64url: 256 bits by default. */
export const randomToken = (bytes = 32) => randomBytes(bytes).toString('base64url');

/**
 * Returns the SHA-256 in base64url. Only for random secrets; passwords use
 * `core/accounts/passwords`.
 */
export const sha256 = (value: string) => hash('sha256', value, 'base64url');

/** Returns the HMAC-SHA-256 in base64url. */
export const hmacSha256 = (key: Uint8Array, value: string) =>
  createHmac('sha256', key).update(value).digest('base64url');

/** Compares in constant time. The lengths are not secret. */
export function constantTimeEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/**
 * Keys derived from the master secret, one per purpose. After a change of `SECRET`, the previous
 * one still decrypts.
 */
export interface Secrets {
  /** Returns the key that signs and encrypts. */
  key(purpose: string): Buffer;
  /** Returns all keys that can decrypt, the current one first. */
  keys(purpose: string): Buffer[];
  /** Encrypts text for storage (JWE, A256GCM). `boundTo` is authenticated, but not encrypted. */
  seal(purpose: string, text: string, boundTo?: string): Promise<string>;
  /**
   * Decrypts text. Throws if neither the current nor the previous secret decrypts it, or if it is
   * bound to something else.
   */
  open(purpose: string, sealed: string, boundTo?: string): Promise<string>;
}

/** Derives keys from the current and the previous master secret (HKDF, RFC 5869). */
export function createSecrets(secret: string, previous?: string): Secrets {
  const masterSecrets = previous ? [secret, previous] : [secret];
  const derivedKeys = new Map<string, Buffer[]>();

  return { key: (purpose) => keys(purpose)[0]!, keys, seal, open };

  function keys(purpose: string): Buffer[] {
    let derived = derivedKeys.get(purpose);
    if (!derived) {
      derived = masterSecrets.map((master) => Buffer.from(hkdfSync('sha256', master, 'signet', purpose, KEY_BYTES)));
      derivedKeys.set(purpose, derived);
    }
    return derived;
  }

  async function seal(purpose: string, text: string, boundTo?: string): Promise<string> {
    return new CompactEncrypt(Buffer.from(text))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', ...(boundTo && { for: boundTo }) })
      .encrypt(keys(purpose)[0]!);
  }

  async function open(purpose: string, sealed: string, boundTo?: string): Promise<string> {
    let lastError: unknown;
    for (const key of keys(purpose)) {
      try {
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        if (protectedHeader.for !== boundTo) throw new Error('the value is bound to something else');
        return Buffer.from(plaintext).toString();
      } catch (error) {
        lastError = error;
      }
    }
    const message = `cannot decrypt a stored value (${purpose}): it was encrypted with another SECRET`;
    throw new Error(message, { cause: lastError });
  }
}

/** Returns a UUID version 7 (RFC 9562), which sorts by time. */
export function uuidv7(now: Date): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now.getTime(), 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
