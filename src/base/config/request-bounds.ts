/** Settings that bound one request of an OAuth client, and what the server stores of it. */

import { defineTopic } from './base-config.js';
import { integer } from './setting.js';

export const requestBounds = defineTopic({
  title: 'Bounds of a request',
  settings: {
    parameterCharacters: integer(
      'MAX_PARAMETER_LENGTH',
      [2048, 57_344],
      16_384,
      'Characters in one parameter of an OAuth request.',
    ),
    resources: integer('MAX_RESOURCES', [1, 100], 10, 'Resources (RFC 8707) in one request.'),
    scopes: integer('MAX_SCOPES', [10, 1000], 50, 'Scopes in one request.'),
    clientKeys: integer('MAX_CLIENT_KEYS', [1, 100], 10, 'Public keys in the `jwks` of one client.'),
    documentFetches: integer(
      'MAX_DOCUMENT_FETCHES',
      [1, 1000],
      20,
      'Client metadata documents that one process fetches at the same time.',
    ),
    documentFetchesPerKey: integer(
      'MAX_DOCUMENT_FETCHES_PER_NETWORK',
      [1, 1000],
      4,
      'The same for one network, and from one host.',
    ),
    storedBytes: integer(
      'MAX_STORED_REQUEST_BYTES',
      [1024, 57_344],
      8192,
      'Bytes that the server stores of one authorization, device or pushed authorization request.',
    ),
    storedKilobytesPerHour: integer(
      'MAX_STORED_KILOBYTES_PER_HOUR',
      [100, 1_000_000],
      10_000,
      'Kilobytes of such requests that the server stores in an hour for one network (IPv4 address or IPv6 /48), without a signed-in user or an authenticated client.',
    ),
  },
  resolve: (requestBounds) => ({ requestBounds }),
});

export type RequestBounds = ReturnType<typeof requestBounds.resolve>['requestBounds'];
