/**
 * The upstream provider, as far as it is spoken to: e-mail and password go there, and who that is
 * comes back. Understands what Signet and its like answer. The password and the token live in
 * memory until the answer is there, and nowhere else.
 */
import { z } from 'zod';
import { AppError, upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import type { UpstreamConfig } from '../../base/config/upstream.js';
import { RESPONSE_TIMEOUT_MS } from '../../base/http-client.js';
import type { JsonClient, JsonResponse } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { isEmail, isName, normalizeEmail } from '../accounts/accounts.js';
import { isSubject } from '../identities/identities.js';
import { wrongOtp } from '../mfa/mfa.js';
import { factorMissing, wrongCredentials } from '../sign-in/errors.js';
import type { Credentials } from '../sign-in/sign-in.js';

/** Somebody, as the upstream tells of them. What it says of their rights is not even read. */
export interface UpstreamPerson {
  issuer: string;
  subject: string;
  email: string | undefined;
  name: string | undefined;
}

interface Deps {
  upstream: UpstreamConfig;
  ask: JsonClient;
  log: Log;
}

const LOGOUT_PATH = '/api/v1/auth/logout';
const MAX_RETRY_AFTER_SECONDS = 3600;
const RETRY_AFTER_SECONDS = 60;

/** What fits into a header, and nothing that ends it. */
const Token = z.string().regex(/^[\x21-\x7e]{1,8192}$/);
const LoginAnswer = z.union([
  z.object({ token: Token }).transform(({ token }) => token),
  z.object({ access_token: Token }).transform(({ access_token }) => access_token),
]);
const Id = z.union([z.string(), z.int()]).transform(String).refine(isSubject);
const Profile = z
  .object({ id: Id.nullish(), sub: Id.nullish(), email: z.string().nullish() })
  .and(z.object({ name: z.unknown(), full_name: z.unknown() }).partial());
const ProfileAnswer = z.union([z.object({ user: Profile }).transform(({ user }) => user), Profile]);

export type UpstreamProvider = ReturnType<typeof createUpstreamProvider>;

export function createUpstreamProvider({ upstream, ask, log }: Deps) {
  const running = new Set<Promise<void>>();

  return { authenticate, settle };

  /**
   * Whose credentials these are. Refuses with what the upstream refuses with
   * (`invalid_credentials`, `mfa_required`, `invalid_otp`, `account_suspended`,
   * `auth_rate_limited`), with `upstream_unavailable` or with `upstream_invalid_response`; all of
   * it takes as long as one answer may.
   *
   * @param headers what to tell of the request that led to this
   */
  async function authenticate(credentials: Credentials, headers: Record<string, string>): Promise<UpstreamPerson> {
    const signal = AbortSignal.timeout(RESPONSE_TIMEOUT_MS);
    const token = await logIn(credentials, headers, signal);
    try {
      return await readProfile(token, signal);
    } finally {
      tokenRevocation(token);
    }
  }

  /** Waits for the logins there that are being ended. */
  async function settle(): Promise<void> {
    await Promise.all(running);
  }

  async function logIn(
    { email, password, otp }: Credentials,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<string> {
    // By both names: some look for the one, some for the other, and to ask twice would count as two
    // guesses there.
    const body = { username: email, email, password, ...(otp && { otp }) };
    const answer = await ask(upstream.url + upstream.loginPath, { method: 'POST', headers, body, signal });
    if (!isTrue(answer)) throw errorFor(answer);
    const token = LoginAnswer.safeParse(answer.body);
    if (!token.success) throw upstreamInvalid('The upstream provider answers a login without a token.');
    return token.data;
  }

  async function readProfile(token: string, signal: AbortSignal): Promise<UpstreamPerson> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await ask(upstream.url + upstream.profilePath, { headers, signal });
    if (answer.status === 429 || answer.status >= 500) throw errorFor(answer);
    const profile = ProfileAnswer.safeParse(answer.body);
    const subject = profile.data?.id ?? profile.data?.sub;
    if (!isTrue(answer) || !profile.success || !subject) {
      throw upstreamInvalid('The upstream provider does not say whose its token is.');
    }
    const { full_name, name = full_name, email } = profile.data;
    return {
      issuer: upstream.url,
      subject,
      email: email && isEmail(normalizeEmail(email)) ? normalizeEmail(email) : undefined,
      name: typeof name === 'string' && isName(name.trim()) ? name.trim() : undefined,
    };
  }

  /** Ends the login there, in the background: nobody needs its token any more. */
  function tokenRevocation(token: string): void {
    const headers = { authorization: `Bearer ${token}` };
    const call = ask(upstream.url + LOGOUT_PATH, { method: 'POST', headers, body: {} })
      .then(({ status }) => {
        if (status >= 400) log.info({ status }, 'the upstream provider does not end a login that is needed no more');
      })
      .catch((error) => log.info({ error }, 'a login at the upstream provider could not be ended'))
      .finally(() => running.delete(call));
    running.add(call);
  }
}

const isTrue = ({ status }: JsonResponse) => status === 200 || status === 201;

/** Its no, in our words: what it says in its own is for nobody here. */
function errorFor({ status, body, retryAfter }: JsonResponse): AppError {
  const code = codeOf(body);
  if (status === 401 || status === 403) {
    if (code === 'mfa_required') return factorMissing();
    if (code === 'invalid_otp') return wrongOtp();
  }
  if (status === 401) return wrongCredentials();
  if (status === 403 && body !== undefined) {
    return new AppError(403, 'account_suspended', 'The upstream provider does not let this account in.');
  }
  if (status === 429) {
    return new AppError(429, 'auth_rate_limited', 'Too many attempts. Please wait and try again.', {
      retryAfterSeconds: retryAfterOf(retryAfter),
    });
  }
  // It says of its own upstream that asking again does not help.
  if (status >= 500 && code !== 'upstream_invalid_response') {
    return upstreamUnavailable(`The upstream provider fails (${status}).`);
  }
  return upstreamInvalid(`The upstream provider answers a login with ${status}.`);
}

function codeOf(body: unknown): unknown {
  const { error, code } = (body ?? {}) as { error?: unknown; code?: unknown };
  return error ?? code;
}

/** Seconds or a date (RFC 9110, 10.2.3), within reason. */
function retryAfterOf(text: string | undefined): number {
  const seconds = /^\d+$/.test(text ?? '') ? Number(text) : (Date.parse(text ?? '') - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return RETRY_AFTER_SECONDS;
  return Math.min(Math.max(Math.ceil(seconds), 1), MAX_RETRY_AFTER_SECONDS);
}
