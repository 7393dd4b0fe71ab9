/** What an API resource may look like. Pure: no store, no network. */

import { invalidRequest } from '../../base/app-error.js';
import { DAY_SECONDS } from '../../base/clock.js';
import { isReadable, isStorable } from '../../base/text.js';
import type { Resource } from './resources.js';
import type { Scope } from './scope.js';

/** What an administrator says of an API. */
export type ResourceInput = Omit<Resource, 'id' | 'registered'>;

const MAX_IDENTIFIER_LENGTH = 2048;
const MAX_CLIENT_ID_LENGTH = 2048;
const MAX_NAME_LENGTH = 100;
const MAX_SENTENCE_LENGTH = 300;
const MAX_SCOPES = 100;
const MAX_CLIENTS = 1000;
const MAX_TOKEN_SECONDS = 365 * DAY_SECONDS;
/** RFC 6749, 3.3; long enough for a URL, which some APIs use as the name of a scope. */
const SCOPE_NAME = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;
/** What RFC 3986 lets a URI consist of, without the fragment that RFC 8707 forbids. */
const URI = /^[a-z][a-z\d+.-]*:[\w\-.~:/?[\]@!$&'()*+,;=%]+$/i;

/**
 * Refuses with `invalid_request` by field. `reserved`: names of scopes that mean something else
 * already.
 */
export function validateResource(given: Partial<ResourceInput>, reserved: readonly string[]): void {
  const errors: Record<string, string | undefined> = {
    identifier: given.identifier === undefined ? undefined : identifierError(given.identifier),
    name: given.name === undefined ? undefined : nameError(given.name),
    scopes: given.scopes && scopesError(given.scopes, reserved),
    access_token_ttl: given.accessTokenTtlSeconds === undefined ? undefined : ttlError(given.accessTokenTtlSeconds),
    clients: given.clientIds && clientsError(given.clientIds),
  };
  const found = Object.entries(errors).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (found.length > 0) throw invalidRequest('The API cannot be registered like this.', Object.fromEntries(found));
}

function identifierError(identifier: string): string | undefined {
  const sound = identifier.length <= MAX_IDENTIFIER_LENGTH && URI.test(identifier) && URL.canParse(identifier);
  return sound ? undefined : 'Give an absolute URI without a fragment, such as https://api.example.com/v1.';
}

function nameError(name: string): string | undefined {
  const sound = name.length <= MAX_NAME_LENGTH && isReadable(name) && isStorable(name);
  return sound ? undefined : `Give a name of at most ${MAX_NAME_LENGTH} ordinary characters.`;
}

function scopesError(scopes: readonly Scope[], reserved: readonly string[]): string | undefined {
  if (scopes.length > MAX_SCOPES) return `Give at most ${MAX_SCOPES} scopes.`;
  const names = new Set(scopes.map(({ name }) => name));
  if (names.size < scopes.length) return 'Give each scope once.';
  for (const { name, description } of scopes) {
    if (!SCOPE_NAME.test(name)) return 'A scope is named by letters, digits and signs, without spaces, quotes or \\.';
    if (reserved.includes(name)) return `${name} is a scope of OpenID Connect.`;
    if (description.length > MAX_SENTENCE_LENGTH || !isReadable(description) || !isStorable(description)) {
      return `Describe ${name} in one sentence of at most ${MAX_SENTENCE_LENGTH} ordinary characters.`;
    }
  }
  return undefined;
}

function ttlError(seconds: number): string | undefined {
  return seconds >= 1 && seconds <= MAX_TOKEN_SECONDS ? undefined : 'Give a time from 1s to 365d.';
}

function clientsError(clientIds: readonly string[]): string | undefined {
  if (clientIds.length > MAX_CLIENTS) return `List at most ${MAX_CLIENTS} clients.`;
  const sound = clientIds.every((id) => id !== '' && id.length <= MAX_CLIENT_ID_LENGTH && isStorable(id));
  return sound ? undefined : 'List client ids.';
}
