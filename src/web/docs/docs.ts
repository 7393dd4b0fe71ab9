/** The door of developers: a page that shows the OpenAPI document, by Swagger UI from our own origin. */
import Router from '@koa/router';
import { allowOwnScripts } from '../middleware/security-headers.js';
import type { Context, State } from '../state.js';
import type { Views } from '../views.js';

interface Needs {
  views: Views;
  /** The address of a public file, with its version. */
  assetUrl: (file: string) => string;
}

export function createDocsDoor({ views, assetUrl }: Needs): Router<State> {
  return new Router<State>({ sensitive: true }).get('/docs/api', showApi);

  function showApi(ctx: Context): void {
    allowOwnScripts(ctx);
    ctx.body = views.render('docs/api', {
      documentHref: '/api/openapi.json',
      viewerHref: assetUrl('swagger-ui.js'),
      viewerStylesheetHref: assetUrl('swagger-ui.css'),
      scriptHref: assetUrl('api-reference.js'),
      pageStylesheetHref: assetUrl('api-reference.css'),
    });
  }
}
