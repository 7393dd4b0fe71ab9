// A local HTTP server of a third party, such as an app with a JWK Set or a logout URI.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type HttpServer = Awaited<ReturnType<typeof openHttpServer>>;

export async function openHttpServer(handle: (req: IncomingMessage, res: ServerResponse) => unknown) {
  const server = createServer(async (req, res) => {
    await handle(req, res);
    if (!res.writableEnded) res.end();
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

export async function bodyOf(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text;
}
