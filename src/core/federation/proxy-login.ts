/**
 * Proxy login: somebody signs in here with the password of another provider, which says whether it
 * is right. They are known by their id there, never by an e-mail address; an account is made for
 * whoever comes for the first time, with an e-mail address that nobody proved here yet, and without
 * a password.
 */

import { AppError, upstreamInvalid } from '../../base/app-error.js';
import type { UpstreamConfig } from '../../base/config/upstream.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { type Account, type Accounts, normalizeEmail } from '../accounts/accounts.js';
import type { ExternalIdentity, Identities } from '../identities/identities.js';
import type { RequestMeta } from '../request-meta.js';
import { type Attempt, type BruteForceProtection, isRateLimit } from '../sign-in/brute-force-protection.js';
import { suspended } from '../sign-in/errors.js';
import type { AuthResult, Credentials, SignIn } from '../sign-in/sign-in.js';
import type { Provisioning } from './provisioning.js';
import { createUpstreamProvider, type UpstreamPerson, type UpstreamProvider } from './upstream-provider.js';

interface Deps {
  /** Our own. */
  issuer: string;
  upstream: UpstreamConfig | undefined;
  ask: JsonClient;
  log: Log;
  accounts: Accounts;
  identities: Identities;
  provisioning: Provisioning;
  bruteForce: BruteForceProtection;
  signIn: Pick<SignIn, 'withPassword' | 'requireSecondFactor'>;
}

/** Names the providers that a login was passed on by. */
export const HOP_HEADER = 'Signet-Hop';
const MAX_HOPS = 5;

export function createProxyLogin({ issuer, upstream, ask, log, ...deps }: Deps) {
  const { accounts, identities, provisioning, bruteForce, signIn } = deps;
  const provider = upstream && createUpstreamProvider({ upstream, ask, log });

  return { withPassword, settle };

  /**
   * Proves a person by the password that they have upstream; without an upstream, by the one that
   * they have here. Refuses as `signIn.withPassword` does, with `link_required`, and with
   * `upstream_unavailable` or `upstream_invalid_response`.
   *
   * @param hops the issuers that passed this login on, the first one first
   */
  async function withPassword(credentials: Credentials, hops: string[], meta: RequestMeta): Promise<AuthResult> {
    return provider ? withUpstreamPassword(provider, credentials, hops, meta) : signIn.withPassword(credentials, meta);
  }

  async function withUpstreamPassword(
    provider: UpstreamProvider,
    credentials: Credentials,
    hops: string[],
    meta: RequestMeta,
  ): Promise<AuthResult> {
    if (hops.includes(issuer) || hops.length >= MAX_HOPS) {
      throw upstreamInvalid('This login was passed on in a circle: two providers name each other as their upstream.');
    }
    const login = normalizeEmail(credentials.email);
    const local = await accounts.findByEmail(login);
    const attempt = await bruteForce.consume(login, local, meta);
    const headers = {
      [HOP_HEADER]: [...hops, issuer].join(', '),
      ...(meta.address && { 'X-Forwarded-For': meta.address }), // so that it counts guesses by person, if it trusts us
    };
    const { account, from } = await noting(attempt, local, meta, async () => {
      const { issuer, subject, ...rest } = await provider.authenticate(credentials, headers);
      const from = { issuer, subject };
      return { account: await accountOf({ ...from, ...rest }, meta), from };
    });
    if (!accounts.isActive(account)) {
      await bruteForce.reset(attempt);
      bruteForce.auditFailure(account, 'suspended', meta);
      throw suspended();
    }
    const authResult = await signIn.requireSecondFactor({ account, amr: ['pwd'], from }, credentials.otp, meta);
    await (authResult.kind === 'proven' ? bruteForce.reset(attempt) : bruteForce.refund(attempt));
    return authResult;
  }

  /**
   * Every no leaves the trail that it leaves with a local password. That a code is asked for is
   * none yet. Where no password was refused there was no guess: nobody is shut out because the
   * upstream is down.
   */
  async function noting<Proof extends { account: Account; from: ExternalIdentity }>(
    attempt: Attempt,
    local: Account | null,
    meta: RequestMeta,
    prove: () => Promise<Proof>,
  ): Promise<Proof> {
    try {
      return await prove();
    } catch (error) {
      if (!isFailedAttempt(error)) await bruteForce.refund(attempt);
      if (isRateLimit(error)) bruteForce.auditThrottled(local, meta);
      else if (error instanceof AppError && error.code !== 'mfa_required') {
        bruteForce.auditFailure(local, error.code, meta);
      }
      throw error;
    }
  }

  /** Finds or makes the account of somebody who proved upstream who they are. */
  async function accountOf(person: UpstreamPerson, meta: RequestMeta): Promise<Account> {
    const linked = await identities.find(person);
    if (linked) {
      await identities.recordUse(person, person.email);
      return linked;
    }
    try {
      return await make(person, meta);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'conflict') throw error;
      // Taken: by the same person, who came twice at once, or by an account that may be somebody
      // else's.
      const meanwhile = await identities.find(person);
      if (meanwhile) return meanwhile;
      throw new AppError(
        409,
        'link_required',
        'There is already an account with this e-mail address, and it is not linked to the upstream provider. Sign in to it, then link.',
        { cause: error },
      );
    }
  }

  /**
   * The e-mail address counts as unproven whatever the upstream says: a proven one opens doors here
   * (links by address, invitations), and how it proves addresses is not known.
   */
  async function make({ email, ...person }: UpstreamPerson, meta: RequestMeta): Promise<Account> {
    if (!email) throw upstreamInvalid('The upstream provider tells no e-mail address that can be used.');
    return provisioning.provision({ ...person, email, emailProven: false }, meta);
  }

  /** Waits for what goes on after the answers. */
  async function settle(): Promise<void> {
    await provider?.settle();
  }
}

/** With `account_suspended`: that may be how an upstream words any no to a password. */
const FAILED_ATTEMPT_CODES = ['invalid_credentials', 'invalid_otp', 'account_suspended'];

const isFailedAttempt = (error: unknown) => error instanceof AppError && FAILED_ATTEMPT_CODES.includes(error.code);
