/** The origin of a client's metadata, and whether the client is verified. */
import type { Client } from 'oidc-provider';

/**
 * Reports whether no administrator has reviewed the client, because it registered itself or has a
 * metadata document.
 */
export const isUnverified = (client: object) => ['registration', 'document'].includes(originOf(client));

/** Returns the host of the client's metadata document, if any. Unlike the name, it is verified. */
export const documentHost = (client: Pick<Client, 'clientId'>) =>
  originOf(client) === 'document' ? hostOf(client.clientId) : undefined;

/** Returns the host of a URI; undefined if it is not a URI. */
export const hostOf = (uri: string | undefined) => (uri ? URL.parse(uri)?.host : undefined);

const originOf = (client: object) => String((client as { origin?: unknown }).origin);
