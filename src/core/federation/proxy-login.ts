/**
 * Proxy login: somebody signs in here with the password of another provider, which says whether it is right. They are known by their
 * id there, never by an e-mail address; an account is made for whoever comes for the first time, with an e-mail address that nobody
 * proved here yet, and without a password.
 */

import { Refusal, upstreamInvalid } from '../../base/app-error.js';
import type { UpstreamConfig } from '../../base/config/upstream.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { type Account, type Accounts, normalizeEmail } from '../accounts/accounts.js';
import type { ForeignPerson, Identities } from '../identities/identities.js';
import type { Caller } from '../request-meta.js';
import { type Attempt, type Attempts, isRateLimit } from '../sign-in/brute-force-protection.js';
import { suspended } from '../sign-in/errors.js';
import type { Admission, Credentials, SignIn } from '../sign-in/sign-in.js';
import type { Newcomers } from './provisioning.js';
import { createUpstreamProvider, type UpstreamPerson, type UpstreamProvider } from './upstream-provider.js';

interface Needs {
  /** Our own. */
  issuer: string;
  upstream: UpstreamConfig | undefined;
  ask: JsonClient;
  log: Log;
  accounts: Accounts;
  identities: Identities;
  newcomers: Newcomers;
  attempts: Attempts;
  signIn: Pick<SignIn, 'withPassword' | 'demandFactor'>;
}

/** Names the providers that a login was passed on by. */
export const HOP_HEADER = 'Signet-Hop';
const MAX_HOPS = 5;

export function createUpstream({ issuer, upstream, ask, log, ...needs }: Needs) {
  const { accounts, identities, newcomers, attempts, signIn } = needs;
  const provider = upstream && createUpstreamProvider({ upstream, ask, log });

  return { withPassword, settle };

  /**
   * Proves a person by the password that they have upstream; without an upstream, by the one that they have here. Refuses as
   * `signIn.withPassword` does, with `link_required`, and with `upstream_unavailable` or `upstream_invalid_response`.
   *
   * @param hops the issuers that passed this login on, the first one first
   */
  async function withPassword(credentials: Credentials, hops: string[], caller: Caller): Promise<Admission> {
    return provider
      ? withUpstreamPassword(provider, credentials, hops, caller)
      : signIn.withPassword(credentials, caller);
  }

  async function withUpstreamPassword(
    provider: UpstreamProvider,
    credentials: Credentials,
    hops: string[],
    caller: Caller,
  ): Promise<Admission> {
    if (hops.includes(issuer) || hops.length >= MAX_HOPS) {
      throw upstreamInvalid('This login was passed on in a circle: two providers name each other as their upstream.');
    }
    const login = normalizeEmail(credentials.email);
    const local = await accounts.findByEmail(login);
    const attempt = await attempts.spend(login, local, caller);
    const headers = {
      [HOP_HEADER]: [...hops, issuer].join(', '),
      ...(caller.address && { 'X-Forwarded-For': caller.address }), // so that it counts guesses by person, if it trusts us
    };
    const { account, from } = await noting(attempt, local, caller, async () => {
      const { issuer, subject, ...rest } = await provider.whoIs(credentials, headers);
      const from = { issuer, subject };
      return { account: await accountOf({ ...from, ...rest }, caller), from };
    });
    if (!accounts.isActive(account)) {
      await attempts.forgive(attempt);
      attempts.noteFailure(account, 'suspended', caller);
      throw suspended();
    }
    const admission = await signIn.demandFactor({ account, amr: ['pwd'], from }, credentials.otp, caller);
    await (admission.kind === 'proven' ? attempts.forgive(attempt) : attempts.takeBack(attempt));
    return admission;
  }

  /**
   * Every no leaves the trail that it leaves with a local password. That a code is asked for is none yet. Where no
   * password was refused there was no guess: nobody is shut out because the upstream is down.
   */
  async function noting<Proof extends { account: Account; from: ForeignPerson }>(
    attempt: Attempt,
    local: Account | null,
    caller: Caller,
    prove: () => Promise<Proof>,
  ): Promise<Proof> {
    try {
      return await prove();
    } catch (error) {
      if (!isWrongGuess(error)) await attempts.takeBack(attempt);
      if (isRateLimit(error)) attempts.noteRefusal(local, caller);
      else if (error instanceof Refusal && error.code !== 'mfa_required') {
        attempts.noteFailure(local, error.code, caller);
      }
      throw error;
    }
  }

  /** Finds or makes the account of somebody who proved upstream who they are. */
  async function accountOf(person: UpstreamPerson, caller: Caller): Promise<Account> {
    const linked = await identities.find(person);
    if (linked) {
      await identities.noteUse(person, person.email);
      return linked;
    }
    try {
      return await make(person, caller);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'conflict') throw error;
      // Taken: by the same person, who came twice at once, or by an account that may be somebody else's.
      const meanwhile = await identities.find(person);
      if (meanwhile) return meanwhile;
      throw new Refusal(
        409,
        'link_required',
        'There is already an account with this e-mail address, and it is not linked to the upstream provider. Sign in to it, then link.',
        { cause: error },
      );
    }
  }

  /**
   * The e-mail address counts as unproven whatever the upstream says: a proven one opens doors here (links by address, invitations),
   * and how it proves addresses is not known.
   */
  async function make({ email, ...person }: UpstreamPerson, caller: Caller): Promise<Account> {
    if (!email) throw upstreamInvalid('The upstream provider tells no e-mail address that can be used.');
    return newcomers.make({ ...person, email, emailProven: false }, caller);
  }

  /** Waits for what goes on after the answers. */
  async function settle(): Promise<void> {
    await provider?.settle();
  }
}

/** With `account_suspended`: that may be how an upstream words any no to a password. */
const WRONG_GUESSES = ['invalid_credentials', 'invalid_otp', 'account_suspended'];

const isWrongGuess = (error: unknown) => error instanceof Refusal && WRONG_GUESSES.includes(error.code);
