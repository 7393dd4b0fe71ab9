/** How a client is shown to a person. */
import type { Client } from 'oidc-provider';
import type { ClientCard } from '../views.js';

type Shown = Pick<Client, 'clientId' | 'clientName' | 'clientUri' | 'policyUri' | 'tosUri'>;

/** A client's name, home and papers, ready to print. Only https links: a browser would run others. */
export function clientCard(client: Shown): ClientCard {
  const name = client.clientName || client.clientId;
  return {
    name,
    initial: [...name][0]?.toUpperCase() ?? '?',
    host: hostOf(client.clientUri),
    clientUri: httpsOnly(client.clientUri),
    policyUri: httpsOnly(client.policyUri),
    tosUri: httpsOnly(client.tosUri),
  };
}

export const hostOf = (uri: string | undefined) => (uri ? URL.parse(uri)?.host : undefined);

const httpsOnly = (uri: string | undefined) => (uri?.startsWith('https://') ? uri : undefined);
