/**
 * What is known between the way to a provider and the way back: one signed cookie, and what follows
 * from it.
 */
import { constantTimeEqual, hmacSha256, randomToken, sha256Base64url } from '../bytes.js';

export const FLOW_SECONDS = 600;

export interface Flow {
  /**
   * `provider.time.chance.signature`: goes to the provider, and into the cookie of the browser that
   * began.
   */
  state: string;
  provider: string;
  /**
   * PKCE (RFC 7636) and OpenID Connect's nonce follow from the state and the secret: there is
   * nothing to keep.
   */
  verifier: string;
  challenge: string;
  nonce: string;
}

export function beginFlow(provider: string, secret: string): Flow {
  const body = `${provider}.${Math.floor(Date.now() / 1000)}.${randomToken()}`;
  return toFlow(`${body}.${seal(body, secret)}`, provider, secret);
}

/** The flow that came back, if this browser began it here, and lately. */
export function resumeFlow(state: string | null, cookie: string | undefined, secret: string): Flow | undefined {
  if (!state || !cookie || !constantTimeEqual(state, cookie)) return undefined;
  const [provider, begun, chance, signature, ...more] = state.split('.');
  if (!provider || !begun || !chance || !signature || more.length > 0) return undefined;
  if (!constantTimeEqual(signature, seal(`${provider}.${begun}.${chance}`, secret))) return undefined;
  return Number(begun) + FLOW_SECONDS > Date.now() / 1000 ? toFlow(state, provider, secret) : undefined;
}

function toFlow(state: string, provider: string, secret: string): Flow {
  const verifier = hmacSha256(secret, `oauth verifier ${state}`);
  return {
    state,
    provider,
    verifier,
    challenge: sha256Base64url(verifier),
    nonce: hmacSha256(secret, `oauth nonce ${state}`),
  };
}

const seal = (body: string, secret: string) => hmacSha256(secret, `oauth state ${body}`);
