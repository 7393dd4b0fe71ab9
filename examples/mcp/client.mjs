// An MCP client that needs only the URL of the server. It discovers the issuer, registers itself,
// and asks the user to sign in.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const SERVER = new URL(process.env.MCP_SERVER ?? 'http://localhost:3001/mcp');

// The redirect URI is a free port on this machine (RFC 8252, section 7.3).
const listener = createServer();
await once(listener.listen(0, '127.0.0.1'), 'listening');
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;

const store = {};
const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: 'MCP example',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => store.client,
  saveClientInformation: (client) => Object.assign(store, { client }),
  tokens: () => store.tokens,
  saveTokens: (tokens) => Object.assign(store, { tokens }),
  codeVerifier: () => store.verifier,
  saveCodeVerifier: (verifier) => Object.assign(store, { verifier }),
  redirectToAuthorization: (url) => console.log(`\nOpen this and sign in:\n\n  ${url}\n`),
};
const transport = () => new StreamableHTTPClientTransport(SERVER, { authProvider });
const client = () => new Client({ name: 'example', version: '1.0.0' });

let connected = client();
try {
  await connected.connect(transport());
} catch {
  const code = await codeFromBrowser(); // not signed in yet
  await transport().finishAuth(code);
  connected = client();
  await connected.connect(transport());
}
const { tools } = await connected.listTools();
console.log(`Tools: ${tools.map(({ name }) => name).join(', ')}`);
const { content } = await connected.callTool({ name: 'read_notes', arguments: {} });
console.log(content[0].text);
await connected.close();
listener.close();

async function codeFromBrowser() {
  for (;;) {
    const [req, res] = await once(listener, 'request');
    const { pathname, searchParams } = new URL(req.url, redirectUrl);
    if (pathname !== '/callback') res.writeHead(404).end();
    else {
      res.end('You can close this page.');
      listener.closeIdleConnections();
      if (searchParams.has('code')) return searchParams.get('code');
      throw new Error(`${searchParams.get('error')}: ${searchParams.get('error_description')}`);
    }
  }
}
