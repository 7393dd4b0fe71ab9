// An MCP server with one tool. It accepts tokens that Signet issued for it, and tells other clients
// where to get one.
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER = 'http://localhost:3000', PORT = '3001' } = process.env;
const origin = `http://localhost:${PORT}`;
/**
 * The resource, as an administrator registered it at Signet: `resource create <url> --name Notes
 * --scope notes:read="Read your notes."`
 */
const resource = `${origin}/mcp`;
const metadataUrl = `${origin}/.well-known/oauth-protected-resource/mcp`;
const keys = createRemoteJWKSet(new URL(`${ISSUER}/oauth/jwks`));

const server = createServer(async (req, res) => {
  if (req.url === new URL(metadataUrl).pathname) {
    // Protected resource metadata (RFC 9728): tells clients which issuer to use.
    const metadata = { resource, authorization_servers: [ISSUER], scopes_supported: ['notes:read'] };
    return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(metadata));
  }
  if (req.url !== '/mcp') return res.writeHead(404).end();
  const user = await userOf(req.headers.authorization);
  if (!user) return res.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadataUrl}"` }).end();
  return respond(req, res, user);
});
server.listen(Number(PORT), () => console.log(`listening on ${origin}`));

/** Returns the user of a token that is valid for this server (RFC 9068, section 4). */
async function userOf(authorization = '') {
  const token = /^Bearer (\S+)$/i.exec(authorization)?.[1];
  if (!token) return undefined;
  const expected = { issuer: ISSUER, audience: resource, typ: 'at+jwt', algorithms: ['ES256'] };
  const verified = await jwtVerify(token, keys, expected).catch(() => undefined);
  return String(verified?.payload.scope ?? '')
    .split(' ')
    .includes('notes:read')
    ? verified.payload.sub
    : undefined;
}

/** Creates a server for each request: this one has no sessions. */
async function respond(req, res, user) {
  const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
  mcp.registerTool('read_notes', { description: 'Returns the notes of the signed-in user.' }, async () => ({
    content: [{ type: 'text', text: `Notes of ${user}: buy bread.` }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  res.once('close', () => void mcp.close());
  await mcp.connect(transport);
  await transport.handleRequest(req, res);
}
