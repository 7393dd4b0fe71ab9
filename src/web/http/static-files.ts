/**
 * Serves the files of `public/` under `/assets/`. They are read once, at start. Only exact names
 * match, so no path of a request reaches the file system.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context, Next } from 'koa';

const PUBLIC_DIRECTORY = fileURLToPath(new URL('../../../public/', import.meta.url));
const ASSETS_PREFIX = '/assets/';
const YEAR_SECONDS = 31_536_000;

const CONTENT_TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
};

interface StaticFile {
  body: Buffer;
  type: string;
  version: string;
}

/** Reads the files of a directory, except those with an extension that is not listed above. */
export function createStaticFiles({ directory = PUBLIC_DIRECTORY }: { directory?: string } = {}) {
  const files = readFiles(directory);
  return { serve, urlOf };

  async function serve(ctx: Context, next: Next): Promise<void> {
    if (!ctx.path.startsWith(ASSETS_PREFIX)) return next();
    const file = files.get(ctx.path.slice(ASSETS_PREFIX.length));
    if (!file) return; // the error handler sends the 404
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      ctx.set('Allow', 'GET, HEAD');
      ctx.status = 405;
      return;
    }
    ctx.status = 200;
    ctx.etag = file.version;
    ctx.set('Cache-Control', cacheControl(ctx, file));
    ctx.type = file.type;
    if (ctx.fresh) {
      ctx.status = 304;
      return;
    }
    ctx.body = file.body;
  }

  /** Returns the URL of a file with its version, so that browsers can cache it for a year. */
  function urlOf(name: string): string {
    const file = files.get(name);
    if (!file) throw new Error(`there is no public file named ${name}`);
    return `${ASSETS_PREFIX}${name}?v=${file.version}`;
  }
}

/**
 * Allows caching only for the current version. During a rollout, a page may request a version that
 * this process does not have; it gets the current file, uncached.
 */
function cacheControl(ctx: Context, file: StaticFile): string {
  return ctx.query.v === file.version ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache';
}

function readFiles(directory: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const type = CONTENT_TYPES[extname(entry.name)];
    if (!entry.isFile() || !type) continue;
    const body = readFileSync(join(directory, entry.name));
    files.set(entry.name, { body, type, version: createHash('sha256').update(body).digest('base64url').slice(0, 16) });
  }
  return files;
}
