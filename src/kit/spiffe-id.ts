/** SPIFFE IDs, the names of workloads, and the result of verifying their credentials. */

export interface SpiffeId {
  /** The whole ID: `spiffe://example.org/ns/shop/sa/api`. */
  id: string;
  trustDomain: string;
  /** Starts with a slash. Empty for the trust domain itself. */
  path: string;
}

export type SvidVerdict = { kind: 'valid'; spiffeId: SpiffeId; expiresAt: Date } | { kind: 'invalid'; reason: string };

const MAX_ID_LENGTH = 2048;
const MAX_DOMAIN_LENGTH = 255;
const ID = /^spiffe:\/\/([a-z0-9._-]+)((?:\/[a-zA-Z0-9._-]+)*)$/;
const DOT_SEGMENT = /\/\.{1,2}(?=\/|$)/;

/** Parses a SPIFFE ID strictly, without normalizing it. Returns undefined if it is malformed. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const [id, trustDomain, path] = text.length <= MAX_ID_LENGTH ? (ID.exec(text) ?? []) : [];
  if (id === undefined || trustDomain!.length > MAX_DOMAIN_LENGTH || DOT_SEGMENT.test(path!)) return undefined;
  return { id, trustDomain: trustDomain!, path: path! };
}

/** Creates a verdict that rejects a credential. */
export const invalidSvid = (reason: string): SvidVerdict => ({ kind: 'invalid', reason });
