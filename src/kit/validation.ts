/**
 * Verifies credentials at Signet's `/api/validate`: API keys and opaque tokens, which cannot be
 * verified locally, and whether a token was revoked.
 */
import { IssuerUnavailable } from './auth-error.js';
import { sha256Base64url } from './bytes.js';
import type { ToolLevel } from './context.js';
import type { IssuerOptions } from './issuer.js';
import { canShareRequests } from './runtime.js';

/** The response for a valid credential. */
export interface ValidResponse {
  user: { id: string; name?: string | null; email?: string | null; role?: string };
  /** The key, client or agent. Absent for a first-party login. */
  principal?: ActingPrincipal;
  permission?: ToolLevel | null;
}

export interface ActingPrincipal {
  type: string;
  id?: string;
  name?: string;
  client_id?: string;
  scopes?: string[];
  [more: string]: unknown;
}

export type ValidationResult = ValidResponse | 'invalid' | 'expired';

export interface ValidationOptions extends IssuerOptions {
  tool?: string;
  cacheSeconds: number;
  rejectionSeconds: number;
  maxEntries: number;
}

/** The DPoP proof of a bound token, which Signet verifies. */
export interface ForwardedProof {
  proof: string;
  htm: string;
  htu: string;
}

interface Entry {
  result: Promise<ValidationResult>;
  expiresAtMs: number;
}

const TIMEOUT_MS = 5000;

/**
 * Returns a function that verifies a credential at Signet. Results are cached by the hash of the
 * credential, and concurrent requests for one credential share a result if the runtime allows it.
 * Requests with a proof are not cached. Rejects with `IssuerUnavailable`.
 */
export function createValidation(options: ValidationOptions) {
  const { issuer, tool, cacheSeconds, rejectionSeconds, maxEntries, fetch: request = fetch, now = Date.now } = options;
  const entries = new Map<string, Entry>();
  const pendingExpiresAtMs = canShareRequests() ? Number.POSITIVE_INFINITY : 0;

  return function validate(credential: string, proof?: ForwardedProof): Promise<ValidationResult> {
    if (proof) return send(credential, proof);
    const key = sha256Base64url(credential);
    const cached = entries.get(key);
    if (cached && cached.expiresAtMs > now()) return cached.result;
    const entry: Entry = { result: send(credential), expiresAtMs: pendingExpiresAtMs };
    store(key, entry);
    entry.result.then(
      (result) => {
        entry.expiresAtMs = now() + (typeof result === 'object' ? cacheSeconds : rejectionSeconds) * 1000;
      },
      () => {
        if (entries.get(key) === entry) entries.delete(key); // failures are not cached
      },
    );
    return entry.result;
  };

  function store(key: string, entry: Entry): void {
    entries.delete(key);
    const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined;
    if (oldest !== undefined) entries.delete(oldest);
    if (maxEntries > 0) entries.set(key, entry);
  }

  async function send(credential: string, proof?: ForwardedProof): Promise<ValidationResult> {
    try {
      const response = await request(`${issuer}/api/validate`, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          authorization: `${proof ? 'DPoP' : 'Bearer'} ${credential}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ ...(tool && { tool }), ...(proof && { dpop: proof }) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const { status } = response;
      if (status !== 200 && status !== 401) throw new Error(`Unexpected status ${status}`);
      const body = (await response.json()) as Partial<ValidResponse> & { valid?: unknown; error?: unknown };
      if (status === 401 && body?.valid === false) return body.error === 'expired_token' ? 'expired' : 'invalid';
      if (status === 200 && body?.valid === true && typeof body.user?.id === 'string') return body as ValidResponse;
      throw new Error('Unexpected response body');
    } catch (cause) {
      throw new IssuerUnavailable(`${issuer} cannot verify credentials at the moment`, { cause });
    }
  }
}
