/** The name of a workload (SPIFFE ID), and what is found out about whoever shows it. */

export interface SpiffeId {
  /** All of it: `spiffe://example.org/ns/shop/sa/api`. */
  id: string;
  trustDomain: string;
  /** Begins with a slash; empty for the trust domain itself. */
  path: string;
}

export type SvidVerdict = { kind: 'valid'; spiffeId: SpiffeId; expiresAt: Date } | { kind: 'invalid'; reason: string };

const MAX_ID_LENGTH = 2048;
const MAX_DOMAIN_LENGTH = 255;
const ID = /^spiffe:\/\/([a-z0-9._-]+)((?:\/[a-zA-Z0-9._-]+)*)$/;
const DOTS = /\/\.{1,2}(?=\/|$)/;

/** Undefined for what is none, to the letter: nothing is decoded, lower-cased or cut off. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const [id, trustDomain, path] = text.length <= MAX_ID_LENGTH ? (ID.exec(text) ?? []) : [];
  if (id === undefined || trustDomain!.length > MAX_DOMAIN_LENGTH || DOTS.test(path!)) return undefined;
  return { id, trustDomain: trustDomain!, path: path! };
}

export const invalidSvid = (reason: string): SvidVerdict => ({ kind: 'invalid', reason });
