/**
 * Describes external providers: `Provider` holds all differences between them. The flow, which is
 * the same for all, is in authorization-code.ts.
 */
import type { ProviderSettings } from '../../base/config/federation.js';
import { isEmail, isName, normalizeEmail } from '../accounts/fields.js';
import type { IdentityWithTokens } from '../identities/identities.js';

export interface Provider
  extends Pick<ProviderSettings, 'id' | 'name' | 'issuer' | 'clientId' | 'clientSecret' | 'storesTokens'> {
  /** The requested scope. */
  scope: string;
  /** Additional authorization parameters that request a refresh token. */
  refreshTokenParameters?: Record<string, string> | undefined;
  /** Whether only a response with a new consent contains a refresh token. */
  refreshTokenNeedsConsent?: boolean | undefined;
  /** Whether its token response separates scopes by commas instead of spaces. */
  commaSeparatedScopes?: true;
  /**
   * The endpoints of a provider that supports only OAuth 2.0. Such a provider has no discovery
   * document and returns no ID token, so there is no nonce and no signature to verify. Undefined
   * for an OpenID provider.
   */
  oauthEndpoints?: { authorization: string; token: string; revocation?: string };
  /** Whether it accepts the client secret only in the body (`client_secret_post`). */
  secretInBody?: true;
  /** Protections that the provider ignores or rejects. */
  unsupported?: ('pkce' | 'nonce')[];
  /** Returns the profile of the user. Throws if the provider's response is invalid. */
  readProfile(source: ProfileSource): Promise<ExternalProfile>;
}

/** Claims about a user, as the provider returns them. */
export type Claims = Record<string, unknown>;

/** The responses of a provider from which a profile can be read. */
export interface ProfileSource {
  /** The claims of the verified ID token. Empty for an OAuth 2.0 provider. */
  claims: Claims;
  /** Requests the userinfo endpoint. */
  userInfo(): Promise<Claims>;
  /**
   * Requests a URL of the provider's API with the user's access token. Returns undefined if the
   * token has no access to it.
   */
  callApi(url: string): Promise<unknown>;
}

/** A user's profile in our terms. */
export interface ExternalProfile {
  /** Identifies the user at the issuer. The provider never assigns it to another user. */
  subject: string;
  email: string | undefined;
  /**
   * Whether the provider verified the address and is authoritative for it. A provider is
   * authoritative if it hosts the domain's mailboxes, or if the operator lists the domain in
   * `email_domains`. Only such an address can lead to an existing account.
   */
  emailAuthoritative: boolean;
  name: string | undefined;
  picture: string | undefined;
}

/** A completed login at an external provider. */
export interface ExternalLogin extends ExternalProfile, IdentityWithTokens {
  provider: Pick<Provider, 'id' | 'name'>;
}

const MAX_PICTURE_LENGTH = 2000;

/** Combines the scopes that a sign-in needs with those of the settings. */
export const combineScopes = (required: string, additional: string) =>
  [...new Set(`${required} ${additional}`.split(' ').filter(Boolean))].join(' ');

/**
 * Returns a normalized e-mail address, or undefined if the value is not an address. Rejects
 * characters that normalization turns into ASCII, such as the Kelvin sign (K): the result would be
 * another user's address.
 */
export const emailOf = (value: unknown) =>
  typeof value === 'string' && isEmail(normalizeEmail(value)) && ![...value].some(normalizesToAscii)
    ? normalizeEmail(value)
    : undefined;

const normalizesToAscii = (character: string) => !isAscii(character) && isAscii(normalizeEmail(character));

const isAscii = (text: string) => [...text].every((character) => character <= '\x7f');

/** Returns a valid display name, or undefined. */
export const nameOf = (value: unknown) =>
  typeof value === 'string' && value.trim() !== '' && isName(value.trim()) ? value.trim() : undefined;

/** Returns an https URL of a picture, or undefined. */
export const pictureOf = (value: unknown) =>
  typeof value === 'string' && value.length <= MAX_PICTURE_LENGTH && URL.parse(value)?.protocol === 'https:'
    ? value
    : undefined;
