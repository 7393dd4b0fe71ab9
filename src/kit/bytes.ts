/** Bytes and their spellings, on any runtime: nothing here knows Node. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { base64url } from 'jose';

const encoder = new TextEncoder();

export const utf8 = (text: string): Uint8Array => encoder.encode(text);
export const toBase64url = (bytes: Uint8Array): string => base64url.encode(bytes);
export const fromBase64url = (text: string): Uint8Array => base64url.decode(text);
/** Throws for what is none. */
export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

export const sha256Hex = (text: string): string => bytesToHex(sha256(utf8(text)));
export const sha256Base64url = (text: string): string => toBase64url(sha256(utf8(text)));
export const hmacSha256 = (key: string, text: string): string => toBase64url(hmac(sha256, utf8(key), utf8(text)));

export const randomHex = (bytes: number): string => bytesToHex(crypto.getRandomValues(new Uint8Array(bytes)));
export const randomToken = (bytes = 32): string => toBase64url(crypto.getRandomValues(new Uint8Array(bytes)));

/**
 * What a request or an answer brings, as text; undefined when it is longer, and then no more of it
 * is read.
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

/** Compares without telling by its time where the difference is. Lengths are not secret. */
export function constantTimeEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let n = 0; n < a.length; n += 1) difference |= a.charCodeAt(n) ^ b.charCodeAt(n);
  return difference === 0;
}

/**
 * Bits that no byte takes are zero: otherwise several spellings would be one token, and one of them
 * not the one that was signed.
 */
const PART = '(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?';
const COMPACT_JWS = new RegExp(`^${PART}\\.${PART}\\.${PART}$`);
const MAX_TOKEN_LENGTH = 8192;

/**
 * Whether a text has the form of a signed token (RFC 7515, 3.1), spelt in the one way that is
 * right.
 */
export const isCompactJws = (text: string): boolean => text.length <= MAX_TOKEN_LENGTH && COMPACT_JWS.test(text);

/** A part of a token that is a JSON object, or undefined. */
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
