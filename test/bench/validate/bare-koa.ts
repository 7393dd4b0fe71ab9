// A Koa server with one route that reads JSON and returns a constant.
import { createServer } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';

const ANSWER = {
  valid: true,
  user: {
    id: '8c7e2c2e-7d33-4c3c-8f0a-9a2f6a9d3b11',
    name: 'Jane Developer',
    email: 'jane@example.com',
    role: 'viewer',
  },
  permission: 'read',
};

const router = new Router().post('/api/validate', async (ctx) => {
  const chunks: Buffer[] = [];
  for await (const chunk of ctx.req) chunks.push(chunk as Buffer);
  const { tool } = JSON.parse(Buffer.concat(chunks).toString()) as { tool?: string };
  ctx.body = { ...ANSWER, tool };
});

const koa = new Koa().use(router.routes()).use(router.allowedMethods());
const server = createServer(koa.callback()).listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port}\n`);
});
