/** How a client is shown to a person. */
import type { Client } from 'oidc-provider';
import type { ClientView } from './view-models.js';

type Shown = Pick<Client, 'clientId' | 'clientName' | 'clientUri' | 'policyUri' | 'tosUri' | 'redirectUris'>;

/**
 * Nobody here has looked at a client that registered itself, or that a document somewhere
 * describes.
 */
export const isUnverified = (client: object) => ['registration', 'document'].includes(originOf(client));

/** The host whose document describes the client, if one does: so much of it is certain. */
export const documentHost = (client: Pick<Client, 'clientId'>) =>
  originOf(client) === 'document' ? hostOf(client.clientId) : undefined;

/**
 * A client's name, home and papers, ready to print. Only https links: a browser would run others.
 * What a stranger says of his home is shown only if his redirects lead there too (RFC 7591, section
 * 5).
 */
export function clientCard(client: Shown): ClientView {
  const name = client.clientName || client.clientId;
  const home = documentHost(client);
  const hosts = [...(client.redirectUris ?? []).map(hostOf), ...(home ? [home] : [])];
  const believed = (uri: string | undefined) =>
    isUnverified(client) && !hosts.includes(hostOf(uri)) ? undefined : uri;
  return {
    name,
    initial: [...name][0]?.toUpperCase() ?? '?',
    host: home ?? hostOf(believed(client.clientUri)),
    clientUri: httpsOnly(believed(client.clientUri)),
    policyUri: httpsOnly(believed(client.policyUri)),
    tosUri: httpsOnly(believed(client.tosUri)),
  };
}

const originOf = (client: object) => String((client as { origin?: unknown }).origin);

const hostOf = (uri: string | undefined) => (uri ? URL.parse(uri)?.host : undefined);

const httpsOnly = (uri: string | undefined) => (uri?.startsWith('https://') ? uri : undefined);
