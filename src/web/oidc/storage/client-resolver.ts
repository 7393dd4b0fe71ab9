/**
 * The client of an id, as the engine asks for it: from the store, or from the document that its id
 * leads to.
 */
import Provider, { errors } from 'oidc-provider';
import { AppError } from '../../../base/app-error.js';
import type { Client, Clients } from '../../../core/clients/clients.js';
import { MetadataDocumentError } from '../../../core/clients/metadata-document.js';
import type { MetadataDocuments } from '../../../core/clients/metadata-documents.js';
import { metaFrom } from '../request-meta.js';

export type ClientResolver = (id: string) => Promise<Client | undefined>;

interface Deps {
  clients: Pick<Clients, 'find'>;
  metadataDocuments: MetadataDocuments;
}

/**
 * Where a client acts by itself. Elsewhere its tokens are judged, or the engine goes on with what
 * it read: no host is asked for that.
 */
const READS_DOCUMENTS = new Set(['authorization', 'pushed_authorization_request', 'device_authorization', 'token']);

export function createClientResolver({ clients, metadataDocuments }: Deps): ClientResolver {
  return async function resolveClient(id) {
    const { ctx } = Provider;
    if (!READS_DOCUMENTS.has(ctx?.oidc?.route ?? '')) return stored(id);
    try {
      return await metadataDocuments.find(id, metaFrom(ctx));
    } catch (error) {
      if (error instanceof MetadataDocumentError)
        throw new errors.InvalidClient(`the app's metadata document: ${error.message}`);
      if (error instanceof AppError && error.status === 429) throw tooMany(error);
      throw error;
    }
  };

  async function stored(id: string): Promise<Client | undefined> {
    const client = await clients.find(id);
    return client?.origin === 'document' && !metadataDocuments.enabled ? undefined : client;
  }
}

function tooMany(cause: AppError): Error {
  const error = new errors.OIDCProviderError(429, 'temporarily_unavailable');
  return Object.assign(error, { error_description: 'too many unknown apps from this network; try again later', cause });
}
