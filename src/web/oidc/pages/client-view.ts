/** How a client is shown to a user. */
import type { Client } from 'oidc-provider';
import { documentHost, hostOf, isUnverified } from '../storage/client-origin.js';
import type { ClientView } from './view-models.js';

type ShownClient = Pick<Client, 'clientId' | 'clientName' | 'clientUri' | 'policyUri' | 'tosUri' | 'redirectUris'>;

/**
 * Returns a client's name and links, ready to print. Only https links are shown, because browsers
 * run other schemes. Links of an unverified client are shown only if one of its redirect URIs has
 * the same host (RFC 7591, section 5).
 */
export function toClientView(client: ShownClient): ClientView {
  const name = client.clientName || client.clientId;
  const home = documentHost(client);
  const hosts = [...(client.redirectUris ?? []).map(hostOf), ...(home ? [home] : [])];
  const trusted = (uri: string | undefined) => (isUnverified(client) && !hosts.includes(hostOf(uri)) ? undefined : uri);
  return {
    name,
    initial: [...name][0]?.toUpperCase() ?? '?',
    host: home ?? hostOf(trusted(client.clientUri)),
    clientUri: httpsOnly(trusted(client.clientUri)),
    policyUri: httpsOnly(trusted(client.policyUri)),
    tosUri: httpsOnly(trusted(client.tosUri)),
  };
}

const httpsOnly = (uri: string | undefined) => (uri?.startsWith('https://') ? uri : undefined);
