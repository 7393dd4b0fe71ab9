/** How a client is shown to a person. */
import type { Client } from 'oidc-provider';
import type { ClientCard } from '../pages.js';

type Shown = Pick<Client, 'clientId' | 'clientName' | 'clientUri' | 'policyUri' | 'tosUri' | 'redirectUris'>;

/** Nobody here has looked at a client that registered itself. */
export const isUnverified = (client: object) => (client as { origin?: unknown }).origin === 'registration';

/**
 * A client's name, home and papers, ready to print. Only https links: a browser would run others. What a stranger says of his home is
 * shown only if his redirects lead there too (RFC 7591, section 5).
 */
export function clientCard(client: Shown): ClientCard {
  const name = client.clientName || client.clientId;
  const hosts = (client.redirectUris ?? []).map(hostOf);
  const believed = (uri: string | undefined) =>
    isUnverified(client) && !hosts.includes(hostOf(uri)) ? undefined : uri;
  return {
    name,
    initial: [...name][0]?.toUpperCase() ?? '?',
    host: hostOf(believed(client.clientUri)),
    clientUri: httpsOnly(believed(client.clientUri)),
    policyUri: httpsOnly(believed(client.policyUri)),
    tosUri: httpsOnly(believed(client.tosUri)),
  };
}

const hostOf = (uri: string | undefined) => (uri ? URL.parse(uri)?.host : undefined);

const httpsOnly = (uri: string | undefined) => (uri?.startsWith('https://') ? uri : undefined);
