/**
 * The public metadata documents: discovery, the key set, and the protected resource metadata of
 * Signet's own API. They change only when a key or an API changes, so they are served from memory
 * before any routing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serviceUnavailable } from '../../base/app-error.js';
import { MINUTE_SECONDS } from '../../base/clock.js';
import type { Resource, Resources } from '../../core/resources/resources.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';
import type { Context } from '../http/context.js';
import { DISCOVERY, JWKS_ALIAS, PROTECTED_RESOURCE, ROUTES } from './paths.js';
import type { Providers } from './provider/provider.js';

interface Deps {
  issuer: string;
  resources: Pick<Resources, 'own'>;
  providers: Providers;
}

/** Shorter than the time for which a new key is published before it signs. */
const MAX_AGE_SECONDS = 5 * MINUTE_SECONDS;
const JSON_TYPE = 'application/json; charset=utf-8';
const JWKS_TYPE = 'application/jwk-set+json; charset=utf-8';

type WellKnownName = 'discovery' | 'jwks' | 'protectedResource';
type Documents = { discovery: string; jwks: string };
/** `headers` alternates names and values, as `writeHead` takes them. */
type CachedResponse = { headers: string[]; body: string };

export const WELL_KNOWN_PATHS: Record<string, WellKnownName> = Object.fromEntries([
  ...DISCOVERY.map((path) => [path, 'discovery'] as const),
  ...[ROUTES.jwks, JWKS_ALIAS].map((path) => [path, 'jwks'] as const),
  ...PROTECTED_RESOURCE.map((path) => [path, 'protectedResource'] as const),
]);

export type WellKnown = ReturnType<typeof createWellKnown>;

export function createWellKnown({ issuer, resources, providers }: Deps) {
  const protectedResource = protectedResourceMetadata(issuer, resources.own);
  const commonHeaders = {
    'Access-Control-Allow-Origin': '*',
    'Cache-Control': `public, max-age=${MAX_AGE_SECONDS}`,
    'X-Content-Type-Options': 'nosniff',
    ...(issuer.startsWith('https:') && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
  };

  /** The responses built from `documents`; replaced when the providers are. */
  let cache: { documents: Documents; responses: Partial<Record<WellKnownName, CachedResponse>> } | undefined;

  return { tryServe, handler };

  /** Serves a plain GET of a document and returns true. Returns false for every other request. */
  function tryServe(req: IncomingMessage, res: ServerResponse): boolean {
    const name = req.method === 'GET' && WELL_KNOWN_PATHS[req.url ?? ''];
    const current = name && providers.ready();
    if (!name || !current) return false;
    if (cache?.documents !== current) cache = { documents: current, responses: {} };
    cache.responses[name] ??= buildResponse(name, current);
    const { headers, body } = cache.responses[name];
    res.writeHead(200, headers).end(body);
    return true;
  }

  function buildResponse(name: WellKnownName, current: Documents): CachedResponse {
    const body = bodyOf(name, current);
    const headers = {
      ...commonHeaders,
      'Content-Type': contentTypeOf(name),
      'Content-Length': String(Buffer.byteLength(body)),
    };
    return { headers: Object.entries(headers).flat(), body };
  }

  /** Koa handler for what `tryServe` leaves: HEAD, a query string, and providers being rebuilt. */
  async function handler(ctx: Context): Promise<void> {
    const name = WELL_KNOWN_PATHS[ctx.path];
    const body = name && bodyOf(name, await providers.current());
    if (!body?.startsWith('{')) throw serviceUnavailable('The document is not available yet. Try again.');
    ctx.set(commonHeaders);
    ctx.type = contentTypeOf(name!);
    ctx.body = body;
  }

  function bodyOf(name: WellKnownName, current: Documents): string {
    return name === 'protectedResource' ? protectedResource : current[name];
  }
}

const contentTypeOf = (name: WellKnownName) => (name === 'jwks' ? JWKS_TYPE : JSON_TYPE);

/** The metadata of Signet's own API (RFC 9728), by which a client finds the authorization server. */
function protectedResourceMetadata(issuer: string, own: Resource): string {
  return JSON.stringify({
    resource: own.identifier,
    resource_name: own.name,
    authorization_servers: [issuer],
    // MCP clients request every scope listed here, so the capabilities of agents are left out.
    scopes_supported: own.scopes.filter(({ capability }) => !capability).map(({ name }) => name),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
  });
}
