/** Serves the OpenAPI document. Generated on the first request; readable from any origin. */
import { sha256 } from '../../base/crypto.js';
import type { Context } from '../http/context.js';

const CACHE_SECONDS = 300;

export function createDocumentHandler(describe: () => object) {
  let document: { body: string; etag: string } | undefined;

  return function showDocument(ctx: Context): void {
    document ??= serialize(describe());
    ctx.etag = document.etag;
    ctx.set('Cache-Control', `public, max-age=${CACHE_SECONDS}`);
    if (!ctx.response.get('Access-Control-Allow-Origin')) ctx.set('Access-Control-Allow-Origin', '*');
    ctx.status = 200;
    ctx.type = 'json';
    if (ctx.fresh) ctx.status = 304;
    else ctx.body = document.body;
  };
}

function serialize(document: object) {
  const body = JSON.stringify(document);
  return { body, etag: sha256(body) };
}
