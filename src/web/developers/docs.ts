/** The OpenAPI document, and a page that shows it with Swagger UI from our own origin. */
import Router from '@koa/router';
import type { Context, State } from '../http/context.js';
import { allowOwnScripts } from '../http/security-headers.js';
import type { Views } from '../pages/views.js';
import { type ApiDescription, describeApi } from './openapi.js';
import { createDocumentHandler } from './serve-document.js';
import type { DocsPages } from './view-models.js';

const DOCUMENT_PATH = '/api/openapi.json';

interface Deps {
  views: Views<DocsPages>;
  /** Returns the URL of a public file, with its version. */
  assetUrl: (file: string) => string;
  /** The content of the document. */
  described: ApiDescription;
}

export function createDevelopersRouter({ views, assetUrl, described }: Deps): Router<State> {
  return new Router<State>({ sensitive: true }).get('/docs/api', showApi).get(
    DOCUMENT_PATH,
    createDocumentHandler(() => describeApi(described)),
  );

  function showApi(ctx: Context): void {
    allowOwnScripts(ctx);
    ctx.body = views.render('docs/api', {
      documentHref: DOCUMENT_PATH,
      viewerHref: assetUrl('swagger-ui.js'),
      viewerStylesheetHref: assetUrl('swagger-ui.css'),
      scriptHref: assetUrl('api-reference.js'),
      pageStylesheetHref: assetUrl('api-reference.css'),
    });
  }
}
