import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { expect, it } from 'vitest';
import { createLog } from '../../../src/base/log.js';
import type { State } from '../../../src/web/http/context.js';
import { createErrorHandler } from '../../../src/web/http/error-handler.js';
import { createErrorResponses } from '../../../src/web/http/error-response.js';
import { createViews } from '../../../src/web/pages/views.js';
import { sendRequest } from '../../support/request.js';

it('responds for a handler that fails after it took over the response', async () => {
  const errorResponses = createErrorResponses({ issuer: 'http://localhost', log: createLog('silent') });
  const views = createViews({ brandName: 'Signet', assetUrl: (path) => path });
  const koa = new Koa<State>();
  koa.use(async (ctx, next) => {
    ctx.state.meta = { address: '127.0.0.1', requestId: 'request-1' } as State['meta'];
    await next();
  });
  koa.use(createErrorHandler({ errorResponses, views }));
  koa.use(async (ctx) => {
    ctx.respond = false;
    throw new Error('a bug');
  });
  const server = createServer(koa.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const response = await sendRequest({ origin: `http://127.0.0.1:${port}` }, 'GET', '/oauth/jwks');
    expect(response).toMatchObject({ status: 500, json: { error: 'server_error', request_id: 'request-1' } });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
