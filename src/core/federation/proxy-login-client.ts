/**
 * Authenticates users at the upstream provider of proxy login. It supports the responses of Signet
 * and of similar providers. It never stores passwords or tokens.
 */
import { z } from 'zod';
import { AppError, upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import type { Background } from '../../base/background.js';
import type { UpstreamConfig } from '../../base/config/upstream.js';
import type { JsonClient, JsonResponse } from '../../base/http-client.js';
import { REQUEST_TIMEOUT_MS } from '../../base/http-client.js';
import type { Log } from '../../base/log.js';
import { isEmail, isName, normalizeEmail } from '../accounts/fields.js';
import { isSubject } from '../identities/identities.js';
import { wrongOtp } from '../mfa/mfa.js';
import { secondFactorRequired, wrongCredentials } from '../sign-in/errors.js';
import type { Credentials } from '../sign-in/sign-in.js';

/** A user of the upstream provider. Roles and permissions there are ignored. */
export interface UpstreamUser {
  issuer: string;
  subject: string;
  email: string | undefined;
  name: string | undefined;
}

interface Deps {
  upstream: UpstreamConfig;
  requestJson: JsonClient;
  log: Log;
  background: Background;
}

const LOGOUT_PATH = '/api/v1/auth/logout';
const MAX_RETRY_AFTER_SECONDS = 3600;
const DEFAULT_RETRY_AFTER_SECONDS = 60;

/** Visible ASCII only, so that a token cannot inject a header. */
const Token = z.string().regex(/^[\x21-\x7e]{1,8192}$/);
const LoginResponse = z.union([
  z.object({ token: Token }).transform(({ token }) => token),
  z.object({ access_token: Token }).transform(({ access_token }) => access_token),
]);
const Id = z.union([z.string(), z.int()]).transform(String).refine(isSubject);
const Profile = z
  .object({ id: Id.nullish(), sub: Id.nullish(), email: z.string().nullish() })
  .and(z.object({ name: z.unknown(), full_name: z.unknown() }).partial());
const ProfileResponse = z.union([z.object({ user: Profile }).transform(({ user }) => user), Profile]);

export type UpstreamClient = ReturnType<typeof createUpstreamClient>;

/** Creates a client of one upstream provider. */
export function createUpstreamClient({ upstream, requestJson, log, background }: Deps) {
  return { authenticate };

  /**
   * Authenticates a user. All requests together take at most `REQUEST_TIMEOUT_MS`. Throws
   * `AppError` with the upstream's error (`invalid_credentials`, `mfa_required`, `invalid_otp`,
   * `account_suspended`, `auth_rate_limited`), `upstream_unavailable` or
   * `upstream_invalid_response`.
   *
   * @param headers sent with the login, to describe the original request
   */
  async function authenticate(credentials: Credentials, headers: Record<string, string>): Promise<UpstreamUser> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const token = await logIn(credentials, headers, signal);
    try {
      return await readProfile(token, signal);
    } finally {
      logOut(token);
    }
  }

  async function logIn(
    { email, password, otp }: Credentials,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<string> {
    // Some providers expect `username`, others `email`. A second request would be a second attempt.
    const body = { username: email, email, password, ...(otp && { otp }) };
    const response = await requestJson(upstream.url + upstream.loginPath, { method: 'POST', headers, body, signal });
    if (!isSuccess(response)) throw errorFor(response);
    const token = LoginResponse.safeParse(response.body);
    if (!token.success) throw upstreamInvalid('The upstream provider returned no token.');
    return token.data;
  }

  async function readProfile(token: string, signal: AbortSignal): Promise<UpstreamUser> {
    const headers = { authorization: `Bearer ${token}` };
    const response = await requestJson(upstream.url + upstream.profilePath, { headers, signal });
    if (response.status === 429 || response.status >= 500) throw errorFor(response);
    const profile = ProfileResponse.safeParse(response.body);
    const subject = profile.data?.id ?? profile.data?.sub;
    if (!isSuccess(response) || !profile.success || !subject) {
      throw upstreamInvalid('The upstream provider returned no user for its token.');
    }
    const { full_name, name = full_name, email } = profile.data;
    return {
      issuer: upstream.url,
      subject,
      email: email && isEmail(normalizeEmail(email)) ? normalizeEmail(email) : undefined,
      name: typeof name === 'string' && isName(name.trim()) ? name.trim() : undefined,
    };
  }

  /** Revokes the session at the upstream provider, in the background. */
  function logOut(token: string): void {
    background.run('upstream logout', async () => {
      try {
        const headers = { authorization: `Bearer ${token}` };
        const { status } = await requestJson(upstream.url + LOGOUT_PATH, { method: 'POST', headers, body: {} });
        if (status >= 400) log.info({ status }, 'the upstream provider did not revoke a session');
      } catch (error) {
        log.info({ error }, 'could not revoke a session at the upstream provider');
      }
    });
  }
}

const isSuccess = ({ status }: JsonResponse) => status === 200 || status === 201;

/** Maps an error response to our errors. Its message is not forwarded to the user. */
function errorFor({ status, body, retryAfter }: JsonResponse): AppError {
  const code = codeOf(body);
  if (status === 401 || status === 403) {
    if (code === 'mfa_required') return secondFactorRequired();
    if (code === 'invalid_otp') return wrongOtp();
  }
  if (status === 401) return wrongCredentials();
  if (status === 403 && body !== undefined) {
    return new AppError(403, 'account_suspended', 'The upstream provider rejected this account.');
  }
  if (status === 429) {
    return new AppError(429, 'auth_rate_limited', 'Too many attempts. Wait and try again.', {
      retryAfterSeconds: retryAfterOf(retryAfter),
    });
  }
  // This code is about an upstream provider of the upstream. A retry does not help.
  if (status >= 500 && code !== 'upstream_invalid_response') {
    return upstreamUnavailable(`The upstream provider failed (${status}).`);
  }
  return upstreamInvalid(`The upstream provider returned an unexpected response (${status}).`);
}

/** Returns the error code of a response body. */
/** Returns the error code of a response body. */
function codeOf(body: unknown): unknown {
  const { error, code } = (body ?? {}) as { error?: unknown; code?: unknown };
  return error ?? code;
}

/** Parses a `Retry-After` header (RFC 9110, section 10.2.3) to seconds, from 1 to 3600. */
function retryAfterOf(text: string | undefined): number {
  const seconds = /^\d+$/.test(text ?? '') ? Number(text) : (Date.parse(text ?? '') - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return DEFAULT_RETRY_AFTER_SECONDS;
  return Math.min(Math.max(Math.ceil(seconds), 1), MAX_RETRY_AFTER_SECONDS);
}
