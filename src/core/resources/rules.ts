/** Validation of API resources. Pure: no store, no network. */

import { invalidRequest } from '../../base/app-error.js';
import { DAY_SECONDS } from '../../base/clock.js';
import { isReadable, isStorable } from '../../base/text.js';
import type { Resource } from './resources.js';
import type { Scope } from './scope.js';

/** The fields of an API that an administrator sets. */
export type ResourceInput = Omit<Resource, 'id' | 'registered'>;

const MAX_IDENTIFIER_LENGTH = 2048;
const MAX_CLIENT_ID_LENGTH = 2048;
const MAX_NAME_LENGTH = 100;
const MAX_DESCRIPTION_LENGTH = 300;
const MAX_SCOPES = 100;
const MAX_CLIENTS = 1000;
const MAX_TOKEN_SECONDS = 365 * DAY_SECONDS;
/** The `scope-token` of RFC 6749, section 3.3. Some APIs use URLs as scope names. */
const SCOPE_NAME = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;
/** The characters of a URI (RFC 3986), without the fragment that RFC 8707 forbids. */
const URI = /^[a-z][a-z\d+.-]*:[\w\-.~:/?[\]@!$&'()*+,;=%]+$/i;

/**
 * Throws `AppError` `invalid_request` by field.
 *
 * @param reserved scope names that OpenID Connect defines
 */
export function validateResource(input: Partial<ResourceInput>, reserved: readonly string[]): void {
  const errors: Record<string, string | undefined> = {
    identifier: input.identifier === undefined ? undefined : identifierError(input.identifier),
    name: input.name === undefined ? undefined : nameError(input.name),
    scopes: input.scopes && scopesError(input.scopes, reserved),
    access_token_ttl: input.accessTokenTtlSeconds === undefined ? undefined : ttlError(input.accessTokenTtlSeconds),
    clients: input.clientIds && clientsError(input.clientIds),
  };
  const messages = Object.entries(errors).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (messages.length > 0) throw invalidRequest('Some values of the API are invalid.', Object.fromEntries(messages));
}

function identifierError(identifier: string): string | undefined {
  const isValid = identifier.length <= MAX_IDENTIFIER_LENGTH && URI.test(identifier) && URL.canParse(identifier);
  return isValid ? undefined : 'Enter an absolute URI without a fragment, such as https://api.example.com/v1.';
}

function nameError(name: string): string | undefined {
  const isValid = name.length <= MAX_NAME_LENGTH && isReadable(name) && isStorable(name);
  return isValid ? undefined : `Enter a name of at most ${MAX_NAME_LENGTH} ordinary characters.`;
}

function scopesError(scopes: readonly Scope[], reserved: readonly string[]): string | undefined {
  if (scopes.length > MAX_SCOPES) return `Enter at most ${MAX_SCOPES} scopes.`;
  const names = new Set(scopes.map(({ name }) => name));
  if (names.size < scopes.length) return 'Enter each scope only once.';
  for (const { name, description } of scopes) {
    if (!SCOPE_NAME.test(name)) {
      return 'A scope name can contain letters, digits and symbols, but no spaces, quotes or \\.';
    }
    if (reserved.includes(name)) return `${name} is a scope of OpenID Connect.`;
    if (description.length > MAX_DESCRIPTION_LENGTH || !isReadable(description) || !isStorable(description)) {
      return `Describe ${name} in one sentence of at most ${MAX_DESCRIPTION_LENGTH} ordinary characters.`;
    }
  }
  return undefined;
}

function ttlError(seconds: number): string | undefined {
  return seconds >= 1 && seconds <= MAX_TOKEN_SECONDS ? undefined : 'Enter a duration from 1s to 365d.';
}

function clientsError(clientIds: readonly string[]): string | undefined {
  if (clientIds.length > MAX_CLIENTS) return `Enter at most ${MAX_CLIENTS} clients.`;
  const isValid = clientIds.every((id) => id !== '' && id.length <= MAX_CLIENT_ID_LENGTH && isStorable(id));
  return isValid ? undefined : 'Enter client IDs.';
}
