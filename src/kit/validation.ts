/**
 * Asks Signet about credentials that only it can judge: API keys, opaque tokens, and whether a
 * token was revoked.
 */

import { IssuerUnavailable } from './auth-error.js';
import { sha256Base64url } from './bytes.js';
import type { ToolLevel } from './context.js';
import type { IssuerOptions } from './issuer.js';
import { canShareRequests } from './runtime.js';

/** A yes of `POST /api/validate`. */
export interface ValidAnswer {
  user: { id: string; name?: string | null; email?: string | null; role?: string };
  /** The key, the app or the agent, where the credential is not the person's own login. */
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

/** What Signet says of a credential. */
export type Judgement = ValidAnswer | 'invalid' | 'expired';

export interface ValidationOptions extends IssuerOptions {
  tool?: string;
  cacheSeconds: number;
  refusalSeconds: number;
  maxEntries: number;
}

/** The proof that came with a bound token, for Signet to check. */
export interface ForwardedProof {
  proof: string;
  htm: string;
  htu: string;
}

interface Entry {
  answer: Promise<Judgement>;
  until: number;
}

const TIMEOUT_MS = 5000;

/**
 * Answers are remembered for as long as the options say, by the hash of the credential, and no more
 * than so many of them; those who ask for the same one meanwhile share the answer, where they may.
 * What came with a proof is asked each time. Rejects with IssuerUnavailable.
 */
export function createValidation(options: ValidationOptions) {
  const { issuer, tool, cacheSeconds, refusalSeconds, maxEntries, fetch: ask = fetch, now = Date.now } = options;
  const entries = new Map<string, Entry>();
  const untilAnswered = canShareRequests() ? Number.POSITIVE_INFINITY : 0;

  return function validate(credential: string, proof?: ForwardedProof): Promise<Judgement> {
    if (proof) return request(credential, proof);
    const key = sha256Base64url(credential);
    const known = entries.get(key);
    if (known && known.until > now()) return known.answer;
    const entry: Entry = { answer: request(credential), until: untilAnswered };
    remember(key, entry);
    entry.answer.then(
      (answer) => {
        entry.until = now() + (typeof answer === 'object' ? cacheSeconds : refusalSeconds) * 1000;
      },
      () => {
        if (entries.get(key) === entry) entries.delete(key); // that nobody answered is not remembered
      },
    );
    return entry.answer;
  };

  function remember(key: string, entry: Entry): void {
    entries.delete(key);
    const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined;
    if (oldest !== undefined) entries.delete(oldest);
    if (maxEntries > 0) entries.set(key, entry);
  }

  async function request(credential: string, proof?: ForwardedProof): Promise<Judgement> {
    try {
      const response = await ask(`${issuer}/api/validate`, {
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
      if (status !== 200 && status !== 401) throw new Error(`it answers ${status}`);
      const body = (await response.json()) as Partial<ValidAnswer> & { valid?: unknown; error?: unknown };
      if (status === 401 && body?.valid === false) return body.error === 'expired_token' ? 'expired' : 'invalid';
      if (status === 200 && body?.valid === true && typeof body.user?.id === 'string') return body as ValidAnswer;
      throw new Error('its answer is not understood');
    } catch (cause) {
      throw new IssuerUnavailable(`${issuer} cannot be asked about a credential`, { cause });
    }
  }
}
