/** The state of a sign-in at a provider, which a signed cookie stores in the browser. */
import { constantTimeEqual, hmacSha256, randomToken, sha256Base64url } from '../bytes.js';

export const FLOW_SECONDS = 600;

export interface Flow {
  /** `provider.time.random.signature`: sent to the provider, and stored in a cookie. */
  state: string;
  provider: string;
  /** The PKCE verifier (RFC 7636). Like the nonce, it is derived from state and secret. */
  verifier: string;
  challenge: string;
  nonce: string;
}

/** Starts a flow with a random state. */
export function beginFlow(provider: string, secret: string): Flow {
  const body = `${provider}.${Math.floor(Date.now() / 1000)}.${randomToken()}`;
  return toFlow(`${body}.${signatureOf(body, secret)}`, provider, secret);
}

/**
 * Returns the flow of a callback. Returns undefined if it was not started here by this browser
 * within the last `FLOW_SECONDS`.
 */
export function resumeFlow(state: string | null, cookie: string | undefined, secret: string): Flow | undefined {
  if (!state || !cookie || !constantTimeEqual(state, cookie)) return undefined;
  const [provider, startedAt, random, signature, ...more] = state.split('.');
  if (!provider || !startedAt || !random || !signature || more.length > 0) return undefined;
  if (!constantTimeEqual(signature, signatureOf(`${provider}.${startedAt}.${random}`, secret))) return undefined;
  return Number(startedAt) + FLOW_SECONDS > Date.now() / 1000 ? toFlow(state, provider, secret) : undefined;
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

const signatureOf = (body: string, secret: string) => hmacSha256(secret, `oauth state ${body}`);
