/**
 * Signing in with a provider elsewhere. People are known by their subject there. An e-mail address leads to an account only if the
 * provider is the one to say whose it is, and only if the account has proved it as well; else whoever asks must sign in, then link.
 */

import {
  forbidden,
  invalidRequest,
  isTaken,
  notFound,
  Refusal,
  unauthenticated,
  upstreamInvalid,
} from '../../base/app-error.js';
import { HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Prisma, Queryable } from '../../base/db/open.js';
import type { Announcements } from '../../base/invalidation-bus.js';
import { addressKey } from '../../base/ip-address.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Identities } from '../identities/identities.js';
import type { KeptTokens } from '../identities/token-vault.js';
import type { Mfa } from '../mfa/mfa.js';
import type { Caller } from '../request-meta.js';
import type { Sessions } from '../sessions/sessions.js';
import { type Attempts, isRateLimit } from '../sign-in/brute-force-protection.js';
import { suspended } from '../sign-in/errors.js';
import type { Admission, SignIn } from '../sign-in/sign-in.js';
import type { Exchange, GivenCode } from './authorization-code.js';
import type { LinkNews } from './link-notifications.js';
import type { Flow, Flows } from './login-state.js';
import type { ForeignArrival, Provider } from './provider.js';
import type { Newcomers } from './provisioning.js';

interface Needs {
  providers: Provider[];
  /** Where codes that apps bring may have been sent. */
  redirectUris: string[];
  signup: 'open' | 'closed';
  limits: Limits;
  announcements: Announcements;
  accounts: Accounts;
  identities: Identities;
  apiKeys: Pick<ApiKeys, 'forgetAll'>;
  agents: Pick<Agents, 'forgetAll'>;
  keptTokens: Pick<KeptTokens, 'canRenew'>;
  newcomers: Newcomers;
  attempts: Attempts;
  mfa: Pick<Mfa, 'isEnrolled'>;
  sessions: Pick<Sessions, 'endAll'>;
  linkNews: LinkNews;
  signIn: Pick<SignIn, 'demandFactor'>;
  exchange: Exchange;
  flows: Flows;
}

export interface Begin {
  /** A secret that only this browser has. */
  browser: string;
  redirectUri: string;
  /** The account that is to be linked; without it, somebody signs in. */
  accountId?: string;
  /** What the door wants to know when it goes on. */
  note: Prisma.InputJsonObject;
}

const CODE = 'auth_rate_limited';
const BEGINNINGS_BY_ADDRESS: Limit = { name: 'federation-begin', points: 1000, seconds: HOUR_SECONDS, code: CODE };
/** Answers that come to nothing: what is right is taken back. */
const FAILURES_BY_ADDRESS: Limit = { name: 'federation-fail', points: 100, seconds: 15 * MINUTE_SECONDS, code: CODE };

export function createFederation({ providers, redirectUris, signup, limits, announcements, ...needs }: Needs) {
  const {
    accounts,
    identities,
    apiKeys,
    agents,
    keptTokens,
    newcomers,
    attempts,
    mfa,
    sessions,
    linkNews,
    signIn,
    exchange,
    flows,
  } = needs;

  return {
    /** In the order of the buttons. */
    offered: providers.map(({ id, name }) => ({ id, name })),
    begin,
    resume,
    whoCame,
    lacksConsent,
    askConsent,
    whoSent,
    admit,
  };

  /** Where to send somebody who wants to come by this provider. Refuses with `not_found`, `auth_rate_limited` and as the exchange does. */
  async function begin(id: string, { browser, ...flow }: Begin, { address }: Caller): Promise<string> {
    const provider = providerOf(id);
    await limits.spend(BEGINNINGS_BY_ADDRESS, addressKey(address));
    return exchange.authorizationUrl(provider, await flows.open({ ...flow, providerId: id }, browser));
  }

  /** What was begun in this browser and is answered now; it cannot be answered again. Refuses with `invalid_request`. */
  async function resume(id: string, state: string | undefined, browser: string | undefined): Promise<Flow> {
    const flow = state && browser ? await flows.take(state, browser) : undefined;
    // The answer of one provider at the address of another is a mix-up, and somebody's attack.
    if (flow?.providerId === id) return flow;
    throw invalidRequest('This sign-in has expired, or was begun in another browser. Please start again.');
  }

  /** Who came back with this answer. Refuses as the exchange does. */
  async function whoCame({ providerId, binding }: Flow, query: string, caller: Caller): Promise<ForeignArrival> {
    return counted(caller, () => exchange.redeem(providerOf(providerId), query, binding));
  }

  /**
   * Whether what the provider gave cannot be renewed because it did not ask the person, and nothing that can be is kept. Never of
   * somebody whom we had asked already: they are asked once more, not for ever.
   */
  async function lacksConsent({ providerId, consent }: Flow, arrival: ForeignArrival): Promise<boolean> {
    const { tokensToKeep } = arrival;
    if (consent || !tokensToKeep || tokensToKeep.refreshToken || !providerOf(providerId).offlineByConsent) return false;
    return !(await keptTokens.canRenew(arrival));
  }

  /** Where to send somebody once more, for the same errand, to be asked. Refuses as the exchange does. */
  async function askConsent({ binding: _, ...flow }: Flow, browser: string): Promise<string> {
    const again = { ...flow, consent: true };
    return exchange.authorizationUrl(providerOf(flow.providerId), await flows.open(again, browser), again);
  }

  /** Who sent an app this code. Refuses as the exchange does, and with `invalid_request` unless the address is on the list. */
  async function whoSent(id: string, given: GivenCode, caller: Caller): Promise<ForeignArrival> {
    if (!redirectUris.includes(given.redirectUri)) {
      throw invalidRequest('Codes for this address are not taken here.', { redirect_uri: 'It is not on the list.' });
    }
    return counted(caller, () => exchange.redeemCode(providerOf(id), given));
  }

  /**
   * Lets somebody in who proved who they are elsewhere, or asks for the second factor that they have here. Refuses with
   * `link_required`, `signup_closed`, `account_suspended` and as `signIn.demandFactor` does.
   */
  async function admit(arrival: ForeignArrival, otp: string | undefined, caller: Caller): Promise<Admission> {
    const account = await accountOf(arrival, caller);
    if (!accounts.isActive(account)) {
      attempts.noteFailure(account, 'suspended', caller);
      throw suspended();
    }
    const { issuer, subject } = arrival;
    return signIn.demandFactor({ account, amr: ['fed'], from: { issuer, subject } }, otp, caller);
  }

  /** Every no leaves the trail that it leaves with a password. */
  async function counted(caller: Caller, prove: () => Promise<ForeignArrival>): Promise<ForeignArrival> {
    const key = addressKey(caller.address);
    try {
      await limits.spend(FAILURES_BY_ADDRESS, key);
      const arrival = await prove();
      await limits.refund(FAILURES_BY_ADDRESS, key);
      return arrival;
    } catch (error) {
      if (isRateLimit(error)) attempts.noteRefusal(null, caller);
      else if (error instanceof Refusal) {
        attempts.noteFailure(null, error.code, caller);
        if (error.status >= 500) await limits.refund(FAILURES_BY_ADDRESS, key); // theirs, not the visitor's
      }
      throw error;
    }
  }

  async function accountOf(arrival: ForeignArrival, caller: Caller): Promise<Account> {
    const linked = await identities.find(arrival);
    if (linked) return noting(linked, arrival);
    try {
      return await linkOrMake(arrival, caller);
    } catch (error) {
      if (!isTaken(error) && !(error instanceof Refusal && error.status === 409)) throw error;
      // Taken: by the same person, who came twice at once, or by an account that may be somebody else's.
      const meanwhile = await identities.find(arrival);
      if (meanwhile) return noting(meanwhile, arrival);
      attempts.noteFailure(null, 'link_required', caller);
      throw linkRequired(arrival, error);
    }
  }

  async function noting(account: Account, arrival: ForeignArrival): Promise<Account> {
    if (accounts.isActive(account)) await identities.noteUse(arrival, arrival.email);
    return account;
  }

  async function linkOrMake(arrival: ForeignArrival, caller: Caller): Promise<Account> {
    const { email, provider } = arrival;
    if (!email) throw upstreamInvalid(`${provider.name} tells no e-mail address that can be used.`);
    const local = await accounts.findByEmail(email);
    if (local) return linkByEmail(local, arrival, caller);
    if (signup === 'closed')
      throw forbidden('signup_closed', 'Nobody new can make an account here. Ask whoever runs it.');
    return newcomers.make({ ...arrival, email }, caller);
  }

  /**
   * Both sides have proved the address, and it is the provider's to give: it is one person. Never for an administrator, whose account
   * would be as strong as the provider; nor past a second factor, which nobody has shown yet; nor beside another person of the same
   * provider, who had the address before. Whoever waited in the account for its owner (account pre-hijacking) is signed out, the keys and
   * agents from before anybody proved the address go, and the owner is told.
   */
  async function linkByEmail({ id }: Account, arrival: ForeignArrival, caller: Caller): Promise<Account> {
    const { issuer, email, emailProven } = arrival;
    if (!emailProven) throw linkRequired(arrival);
    let account: Account | undefined;
    await sessions.endAll(id, 'revoked', caller, undefined, async (tx) => {
      const local = await accounts.hold(id, tx);
      const isTheirs = accounts.isActive(local) && local.emailVerified && local.email === email;
      if (!isTheirs || local.role === 'admin') throw linkRequired(arrival);
      if ((await mfa.isEnrolled(id, tx)) || (await identities.hasAny(id, issuer, tx))) throw linkRequired(arrival);
      const cleared = await clear(local, tx);
      await identities.link(local, arrival, email, caller, tx, { cleared });
      account = local;
    });
    await announcements.announce('accounts', id);
    await linkNews.tell(account!, arrival.provider.name, 'email', caller);
    return account!;
  }

  /** Whether there was anything. Where nobody knows when the address was proven, all of it stays. */
  async function clear({ id, emailVerifiedAt: before }: Account, tx: Queryable): Promise<boolean> {
    if (!before) return false;
    const keys = await apiKeys.forgetAll(id, tx, before);
    return keys + (await agents.forgetAll(id, tx, before)) > 0;
  }

  function providerOf(id: string): Provider {
    const provider = providers.find((one) => one.id === id);
    if (!provider) throw notFound('Nobody signs in here with this provider.');
    return provider;
  }
}

const linkRequired = ({ provider: { name } }: ForeignArrival, cause?: unknown) =>
  new Refusal(
    409,
    'link_required',
    `There is already an account with this e-mail address, and it is not linked to ${name}. Sign in to it, then link ${name} under Security in your account.`,
    { cause },
  );

/** Whoever began to link must be the one who ends it. */
export const otherPerson = () =>
  unauthenticated('invalid_token', 'Somebody else is signed in by now. Please start again.');
