/**
 * External providers as values: everything in which they differ. The flow itself is in
 * authorization-code.ts.
 */
import type { ProviderSettings } from '../../base/config/federation.js';
import { isEmail, isName, normalizeEmail } from '../accounts/fields.js';
import type { IdentityWithTokens } from '../identities/identities.js';

export interface Provider
  extends Pick<ProviderSettings, 'id' | 'name' | 'issuer' | 'clientId' | 'clientSecret' | 'storesTokens'> {
  scope: string;
  /** Authorization parameters that request a refresh token. */
  offlineParams?: Record<string, string> | undefined;
  /** Whether it returns a refresh token only with a consent, which it asks for only once. */
  offlineByConsent?: boolean | undefined;
  /** Its token response separates scopes by commas. */
  listsByComma?: true;
  /** For providers without a discovery document, which return no ID token either. */
  endpoints?: { authorization: string; token: string };
  /** It accepts the client secret only in the body (`client_secret_post`). */
  secretInBody?: true;
  /** Parameters that it ignores or rejects. */
  unsupported?: ('pkce' | 'nonce')[];
  readProfile(answer: ProviderAnswer): Promise<ExternalProfile>;
}

/** Claims about a user, as the provider returns them. */
export type Claims = Record<string, unknown>;

export interface ProviderAnswer {
  /** The claims of the verified ID token; empty without one. */
  claims: Claims;
  /** Requests the userinfo endpoint. */
  userInfo(): Promise<Claims>;
  /** Requests its API with the user's access token. Returns undefined if it is not allowed. */
  get(url: string): Promise<unknown>;
}

/** A user's profile in our terms. */
export interface ExternalProfile {
  /** Never reassigned to another user. */
  subject: string;
  email: string | undefined;
  /** Whether the provider has verified the address and is authoritative for it. */
  emailProven: boolean;
  name: string | undefined;
  picture: string | undefined;
}

/** A completed login at an external provider. */
export interface ExternalLogin extends ExternalProfile, IdentityWithTokens {
  provider: Pick<Provider, 'id' | 'name'>;
}

const MAX_PICTURE_LENGTH = 2000;

/** Returns the scopes that a sign-in needs, together with those of the settings. */
export const scopeOf = (required: string, more: string) =>
  [...new Set(`${required} ${more}`.split(' ').filter(Boolean))].join(' ');

/**
 * Returns a normalized e-mail address, or undefined if the value is not one. Rejects addresses that
 * normalization would turn into another ASCII address, such as by a Kelvin sign (K).
 */
export const emailOf = (value: unknown) =>
  typeof value === 'string' && isEmail(normalizeEmail(value)) && ![...value].some(normalizesEmail)
    ? normalizeEmail(value)
    : undefined;

const normalizesEmail = (character: string) => !isAscii(character) && isAscii(normalizeEmail(character));

const isAscii = (text: string) => [...text].every((character) => character <= '\x7f');

/** Returns a valid display name, or undefined. */
export const nameOf = (value: unknown) =>
  typeof value === 'string' && value.trim() !== '' && isName(value.trim()) ? value.trim() : undefined;

/** Returns an https URL of a picture, or undefined. */
export const pictureOf = (value: unknown) =>
  typeof value === 'string' && value.length <= MAX_PICTURE_LENGTH && URL.parse(value)?.protocol === 'https:'
    ? value
    : undefined;
