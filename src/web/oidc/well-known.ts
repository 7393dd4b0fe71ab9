/**
 * The documents that everybody reads and nobody changes: discovery, keys, the metadata of our own
 * API. They are constants between two key changes, so they are answered from memory, before
 * anything else looks at the request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serviceUnavailable } from '../../base/app-error.js';
import { MINUTE_SECONDS } from '../../base/clock.js';
import type { Resources } from '../../core/resources/resources.js';
import type { Context } from '../http/context.js';
import { DISCOVERY, JWKS_ALIAS, PROTECTED_RESOURCE, ROUTES } from './paths.js';
import { protectedResourceMetadata } from './protected-resource.js';
import type { Providers } from './provider/provider.js';

interface Deps {
  issuer: string;
  resources: Pick<Resources, 'own'>;
  providers: Providers;
}

/**
 * How long a verifier may keep the key set: less than the time that a key is published before it
 * signs.
 */
const KEEP_SECONDS = 5 * MINUTE_SECONDS;
const JSON_TYPE = 'application/json; charset=utf-8';
const JWKS_TYPE = 'application/jwk-set+json; charset=utf-8';

type WellKnownName = 'discovery' | 'jwks' | 'protectedResource';
type Bodies = { discovery: string; jwks: string };
/** Names and values of its headers in turn, as Node writes them. */
type Answer = { headers: string[]; body: string };

/** Where each is found. */
export const WELL_KNOWN_PATHS: Record<string, WellKnownName> = Object.fromEntries([
  ...DISCOVERY.map((path) => [path, 'discovery'] as const),
  ...[ROUTES.jwks, JWKS_ALIAS].map((path) => [path, 'jwks'] as const),
  ...PROTECTED_RESOURCE.map((path) => [path, 'protectedResource'] as const),
]);

export type WellKnown = ReturnType<typeof createWellKnown>;

export function createWellKnown({ issuer, resources, providers }: Deps) {
  const protectedResource = protectedResourceMetadata(issuer, resources.own);
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'Cache-Control': `public, max-age=${KEEP_SECONDS}`,
    'X-Content-Type-Options': 'nosniff',
    ...(issuer.startsWith('https:') && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
  };

  /** As they are sent, for as long as the providers stay what they are. */
  let made: { of: Bodies; answers: Partial<Record<WellKnownName, Answer>> } | undefined;

  return { tryServe, handler };

  /** Answers a plain GET of a document, if it is one. */
  function tryServe(req: IncomingMessage, res: ServerResponse): boolean {
    const name = req.method === 'GET' && WELL_KNOWN_PATHS[req.url ?? ''];
    const current = name && providers.ready();
    if (!name || !current) return false;
    if (made?.of !== current) made = { of: current, answers: {} };
    made.answers[name] ??= make(name, current);
    const { headers, body } = made.answers[name];
    res.writeHead(200, headers).end(body);
    return true;
  }

  function make(name: WellKnownName, current: Bodies): Answer {
    const body = textOf(name, current);
    const all = { ...headers, 'Content-Type': typeOf(name), 'Content-Length': String(Buffer.byteLength(body)) };
    return { headers: Object.entries(all).flat(), body };
  }

  /** The same for HEAD, for a query string, and while the keys are changing. */
  async function handler(ctx: Context): Promise<void> {
    const name = WELL_KNOWN_PATHS[ctx.path];
    const body = name && textOf(name, await providers.current());
    if (!body?.startsWith('{')) throw serviceUnavailable('The document is not ready.');
    ctx.set(headers);
    ctx.type = typeOf(name!);
    ctx.body = body;
  }

  function textOf(name: WellKnownName, current: Bodies): string {
    return name === 'protectedResource' ? protectedResource : current[name];
  }
}

const typeOf = (name: WellKnownName) => (name === 'jwks' ? JWKS_TYPE : JSON_TYPE);
