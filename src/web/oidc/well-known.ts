/**
 * The well-known documents: discovery, key set, metadata of our own API. They change only with the
 * keys and scopes, so they are served from memory.
 */
import type { ServerResponse } from 'node:http';
import { serviceUnavailable } from '../../base/app-error.js';
import { MINUTE_SECONDS } from '../../base/clock.js';
import type { Resource, Resources } from '../../core/resources/resources.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';
import type { Context } from '../http/context.js';
import type { DirectRoute } from '../http/pipeline.js';
import { DISCOVERY_PATHS, JWKS_ALIAS_PATH, PROTECTED_RESOURCE_PATHS, ROUTES } from './paths.js';
import type { Providers } from './provider/provider.js';

interface Deps {
  issuer: string;
  resources: Pick<Resources, 'own'>;
  providers: Providers;
}

/** Caching time. Shorter than the time between publishing a key and its first use. */
const MAX_AGE_SECONDS = 5 * MINUTE_SECONDS;
const JSON_TYPE = 'application/json; charset=utf-8';
const JWKS_TYPE = 'application/jwk-set+json; charset=utf-8';

type DocumentName = 'discovery' | 'jwks' | 'protectedResource';
type GeneratedDocuments = { discovery: string; jwks: string };
type ServedDocument = { body: string; type: string; length: number };

export const WELL_KNOWN_PATHS: Record<string, DocumentName> = Object.fromEntries([
  ...DISCOVERY_PATHS.map((path) => [path, 'discovery'] as const),
  ...[ROUTES.jwks, JWKS_ALIAS_PATH].map((path) => [path, 'jwks'] as const),
  ...PROTECTED_RESOURCE_PATHS.map((path) => [path, 'protectedResource'] as const),
]);

export type WellKnown = ReturnType<typeof createWellKnown>;

export function createWellKnown({ issuer, resources, providers }: Deps) {
  const protectedResource = protectedResourceMetadata(issuer, resources.own);
  let cached: { generated: GeneratedDocuments; documents: Record<DocumentName, ServedDocument> } | undefined;

  const directRoutes: DirectRoute[] = Object.entries(WELL_KNOWN_PATHS).map(([path, name]) => ({
    route: `GET ${path}`,
    accepts: () => providers.currentIfBuilt() !== undefined,
    handle: (_req, res) => send(res, name, providers.currentIfBuilt()!),
  }));

  return { directRoutes, handlerFor };

  /**
   * Returns the Koa handler of a document, for requests that no direct route accepts: HEAD, a query
   * string, or providers that are being rebuilt.
   */
  function handlerFor(name: DocumentName) {
    return async function sendByKoa(ctx: Context): Promise<void> {
      send(ctx.res, name, await providers.current());
      ctx.respond = false;
    };
  }

  function send(res: ServerResponse, name: DocumentName, generated: GeneratedDocuments): void {
    if (cached?.generated !== generated) cached = { generated, documents: documentsOf(generated) };
    const { body, type, length } = cached.documents[name];
    res.statusCode = 200;
    res.setHeader('Access-Control-Allow-Origin', '*');
    res.setHeader('Cache-Control', `public, max-age=${MAX_AGE_SECONDS}`);
    res.setHeader('Content-Type', type);
    res.setHeader('Content-Length', length);
    res.end(body);
  }

  function documentsOf({ discovery, jwks }: GeneratedDocuments): Record<DocumentName, ServedDocument> {
    return {
      discovery: toDocument(discovery, JSON_TYPE),
      jwks: toDocument(jwks, JWKS_TYPE),
      protectedResource: toDocument(protectedResource, JSON_TYPE),
    };
  }
}

function toDocument(body: string, type: string): ServedDocument {
  if (!body.startsWith('{')) throw serviceUnavailable('The document is not ready.');
  return { body, type, length: Buffer.byteLength(body) };
}

/** Returns the protected resource metadata of Signet's own API (RFC 9728). */
function protectedResourceMetadata(issuer: string, own: Resource): string {
  return JSON.stringify({
    resource: own.identifier,
    resource_name: own.name,
    authorization_servers: [issuer],
    // MCP clients request every scope in this list, so it excludes the capabilities of agents.
    scopes_supported: own.scopes.filter(({ capability }) => !capability).map(({ name }) => name),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
  });
}
