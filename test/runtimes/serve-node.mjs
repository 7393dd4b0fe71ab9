// The service on Node.js, which has no built-in server from Request to Response.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { env } from 'signet/kit';
import { createService } from './service.mjs';
import { createSvidService } from './svid.mjs';

const settings = JSON.parse(env('SERVICE_SETTINGS'));
console.log(
  JSON.stringify({ service: await serve(createService(settings)), svid: await serve(createSvidService(settings)) }),
);

async function serve(fetch) {
  const server = createServer(async (req, res) => {
    const { method, url, headers } = req;
    const body = method === 'GET' || method === 'HEAD' ? null : Readable.toWeb(req);
    const response = await fetch(
      new Request(`http://${headers.host}${url}`, { method, headers, body, duplex: 'half' }),
    );
    if (!req.complete) res.setHeader('connection', 'close'); // an unread body would precede the next request
    res.writeHead(response.status, [...response.headers].flat());
    res.end(await response.text());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}
