/** Serves the OpenAPI document. It is a constant: made when it is first asked for, read by anybody from anywhere, as discovery is. */
import { sha256 } from '../../base/crypto.js';
import type { Context } from '../state.js';
import type { Api } from './endpoint.js';

const KEEP_SECONDS = 300;

export function addDocument({ api, describe }: { api: Api; describe: () => object }): void {
  let made: { body: string; etag: string } | undefined;
  api.router.get('/api/openapi.json', function showDocument(ctx: Context) {
    made ??= make(describe());
    ctx.etag = made.etag;
    ctx.set('Cache-Control', `public, max-age=${KEEP_SECONDS}`);
    if (!ctx.response.get('Access-Control-Allow-Origin')) ctx.set('Access-Control-Allow-Origin', '*');
    ctx.status = 200;
    ctx.type = 'json';
    if (ctx.fresh) ctx.status = 304;
    else ctx.body = made.body;
  });
}

function make(document: object) {
  const body = JSON.stringify(document);
  return { body, etag: sha256(body) };
}
