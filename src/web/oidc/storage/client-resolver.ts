/** Resolves a client id: from the store, or from the client's metadata document. */
import Provider, { errors } from 'oidc-provider';
import { AppError, boundOf } from '../../../base/app-error.js';
import type { Client, Clients } from '../../../core/clients/clients.js';
import { MetadataDocumentError } from '../../../core/clients/metadata-document.js';
import type { MetadataDocuments } from '../../../core/clients/metadata-documents.js';
import { metaFrom } from '../request-meta.js';
import { exceededLimit, toLimitError } from './limit-errors.js';

export type ClientResolver = (id: string) => Promise<Client | undefined>;

interface Deps {
  clients: Pick<Clients, 'find'>;
  metadataDocuments: MetadataDocuments;
}

/**
 * The routes at which a request of the client begins. The other routes check its tokens or continue
 * an earlier request, so they use the stored copy and fetch no document.
 */
const FETCHING_ROUTES = new Set(['authorization', 'pushed_authorization_request', 'device_authorization', 'token']);

export function createClientResolver({ clients, metadataDocuments }: Deps): ClientResolver {
  return async function resolveClient(id) {
    const { ctx } = Provider;
    if (!FETCHING_ROUTES.has(ctx?.oidc?.route ?? '')) return stored(id);
    try {
      return await metadataDocuments.find(id, metaFrom(ctx));
    } catch (error) {
      if (error instanceof MetadataDocumentError) {
        const invalid = new errors.InvalidClient(`the client's metadata document: ${error.message}`);
        throw Object.assign(invalid, { bound: boundOf(error) });
      }
      if (error instanceof AppError && error.status === 429) {
        const description = 'too many new clients from this network; try again later';
        throw exceededLimit(ctx, { retryAfterSeconds: error.retryAfterSeconds, description, cause: error });
      }
      throw toLimitError(error, ctx);
    }
  };

  async function stored(id: string): Promise<Client | undefined> {
    const client = await clients.find(id);
    return client?.origin === 'document' && !metadataDocuments.enabled ? undefined : client;
  }
}
