/**
 * What a provider elsewhere is, by whom people sign in: all in which one differs from the next. The
 * flow itself is in exchange.ts.
 */
import type { ProviderSettings } from '../../base/config/federation.js';
import { isEmail, isName, normalizeEmail } from '../accounts/accounts.js';
import type { ExternalEmailState } from '../identities/identities.js';

export interface Provider
  extends Pick<ProviderSettings, 'id' | 'name' | 'issuer' | 'clientId' | 'clientSecret' | 'storesTokens'> {
  scope: string;
  /** What else its page is told where a refresh token is wanted. */
  askOffline?: Record<string, string> | undefined;
  /**
   * It gives a refresh token with a consent, and asks for none from whoever gave one before unless
   * it is told to.
   */
  offlineByConsent?: boolean | undefined;
  /** It says with commas in between what was granted. */
  listsByComma?: true;
  /** Where no discovery document tells them; such a provider gives no ID token either. */
  endpoints?: { authorization: string; token: string };
  /** It takes the client's secret in the body only. */
  secretInBody?: true;
  /** What it does not understand, or even refuses. */
  lacks?: ('pkce' | 'nonce')[];
  readProfile(answer: ProviderAnswer): Promise<ExternalProfile>;
}

/** What a provider says of somebody, in its own words. */
export type Claims = Record<string, unknown>;

export interface ProviderAnswer {
  /** Of the ID token, which is checked; empty without one. */
  claims: Claims;
  /** Of its userinfo endpoint, for the same person. */
  userInfo(): Promise<Claims>;
  /** Asks its API in the name of the person. Undefined when that is not allowed. */
  get(url: string): Promise<unknown>;
}

/** What a provider says of somebody, in ours. */
export interface ExternalProfile {
  /** Never given to somebody else there. */
  subject: string;
  email: string | undefined;
  /**
   * The address is theirs, and this provider is the one to say so: it may stand for a link, and
   * needs no other proof.
   */
  emailProven: boolean;
  name: string | undefined;
  picture: string | undefined;
}

/** Somebody who has proved who they are to a provider elsewhere. */
export interface ExternalLogin extends ExternalProfile, ExternalEmailState {
  provider: Pick<Provider, 'id' | 'name'>;
}

const MAX_PICTURE_LENGTH = 2000;

/** What a sign-in needs, and what the keeper asks for beyond it. */
export const scopeOf = (needed: string, more: string) =>
  [...new Set(`${needed} ${more}`.split(' ').filter(Boolean))].join(' ');

/**
 * Undefined as well for an address that would turn into that of somebody else: by a Kelvin sign,
 * which is a k in small letters.
 */
export const emailOf = (value: unknown) =>
  typeof value === 'string' && isEmail(normalizeEmail(value)) && ![...value].some(normalizesEmail)
    ? normalizeEmail(value)
    : undefined;

const normalizesEmail = (character: string) => !isAscii(character) && isAscii(normalizeEmail(character));

const isAscii = (text: string) => [...text].every((character) => character <= '\x7f');

export const nameOf = (value: unknown) =>
  typeof value === 'string' && value.trim() !== '' && isName(value.trim()) ? value.trim() : undefined;

/** The address of a picture that any page may show. */
export const pictureOf = (value: unknown) =>
  typeof value === 'string' && value.length <= MAX_PICTURE_LENGTH && URL.parse(value)?.protocol === 'https:'
    ? value
    : undefined;
