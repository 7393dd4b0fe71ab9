/** Encodings, hashes and random values on any runtime, without Node.js APIs. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { base64url } from 'jose';

const encoder = new TextEncoder();

/** Encodes text as UTF-8. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text);
/** Encodes bytes as base64url, without padding. */
export const toBase64url = (bytes: Uint8Array): string => base64url.encode(bytes);
/** Decodes base64url. Throws if it is malformed. */
export const fromBase64url = (text: string): Uint8Array => base64url.decode(text);
/** Decodes Base64. Throws if it is malformed. */
export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** Returns the SHA-256 of a text in hexadecimal. */
export const sha256Hex = (text: string): string => bytesToHex(sha256(utf8(text)));
/** Returns the SHA-256 of a text in base64url. */
export const sha256Base64url = (text: string): string => toBase64url(sha256(utf8(text)));
/** Returns the HMAC-SHA-256 of a text in base64url. */
export const hmacSha256 = (key: string, text: string): string => toBase64url(hmac(sha256, utf8(key), utf8(text)));

/** Returns random bytes in hexadecimal. */
export const randomHex = (bytes: number): string => bytesToHex(crypto.getRandomValues(new Uint8Array(bytes)));
/** Returns random bytes in base64url, 256 bits by default. */
export const randomToken = (bytes = 32): string => toBase64url(crypto.getRandomValues(new Uint8Array(bytes)));

/**
 * Reads a request or response body as text. Returns undefined if it is longer than `maxBytes`, and
 * stops reading then.
 */
export async function readText(body: ReadableStream | null, maxBytes: number): Promise<string | undefined> {
  if (!body) return '';
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Compares two strings in a time that does not depend on where they differ. Lengths are public. */
export function constantTimeEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let n = 0; n < a.length; n += 1) difference |= a.charCodeAt(n) ^ b.charCodeAt(n);
  return difference === 0;
}

/**
 * Canonical base64url: unused bits are zero. Otherwise one token would have several encodings, and
 * a cache or a revocation list could be bypassed with another one.
 */
const PART = '(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?';
const COMPACT_JWS = new RegExp(`^${PART}\\.${PART}\\.${PART}$`);
const MAX_TOKEN_LENGTH = 8192;

/** Reports whether a text has the form of a signed token (RFC 7515, 3.1), in canonical encoding. */
export const isCompactJws = (text: string): boolean => text.length <= MAX_TOKEN_LENGTH && COMPACT_JWS.test(text);

/** Decodes a part of a token. Returns undefined if it is not a JSON object. */
export function jsonObject(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromBase64url(part)));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
