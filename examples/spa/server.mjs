// Serves the files of the app and its client id. The sign-in itself happens in the browser
// (app.js).
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { register } from '../signet.mjs';

const { ISSUER = 'http://localhost:3000', PORT = '3001', SIGNET_CLIENT_ID } = process.env;
const origin = `http://localhost:${PORT}`;

/** A public client: a browser cannot keep a secret. */
const { client_id: clientId } = SIGNET_CLIENT_ID
  ? { client_id: SIGNET_CLIENT_ID }
  : await register(ISSUER, {
      client_name: 'Browser example',
      redirect_uris: [`${origin}/`],
      post_logout_redirect_uris: [`${origin}/`],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    });

const here = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
const library = dirname(createRequire(import.meta.url).resolve('oidc-client-ts/package.json'));
const files = {
  '/': [join(here, 'index.html'), 'text/html; charset=utf-8'],
  '/app.js': [join(here, 'app.js'), 'text/javascript'],
  '/oidc-client-ts.js': [join(library, 'dist/browser/oidc-client-ts.min.js'), 'text/javascript'],
};

const server = createServer(async (req, res) => {
  const { pathname } = new URL(req.url, origin);
  if (pathname === '/config.json') {
    res.setHeader('content-type', 'application/json');
    return res.end(JSON.stringify({ authority: ISSUER, client_id: clientId }));
  }
  const file = files[pathname];
  if (!file) return res.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
  res.setHeader('content-type', file[1]);
  return res.end(await readFile(file[0]));
});
server.listen(Number(PORT), () => console.log(`listening on ${origin}`));
