// An MCP server with one tool. It lets in whoever has a token of the issuer that is meant for it,
// and tells everybody else where to get one.
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER = 'http://localhost:3000', PORT = '3001' } = process.env;
const origin = `http://localhost:${PORT}`;
/**
 * What an administrator registered at the issuer: `resource create <this> --name Notes --scope
 * notes:read="Read your notes."`
 */
const resource = `${origin}/mcp`;
const metadataUrl = `${origin}/.well-known/oauth-protected-resource/mcp`;
const keys = createRemoteJWKSet(new URL(`${ISSUER}/oauth/jwks`));

const server = createServer(async (req, res) => {
  if (req.url === new URL(metadataUrl).pathname) {
    // RFC 9728: all that a client needs to find its way.
    const metadata = { resource, authorization_servers: [ISSUER], scopes_supported: ['notes:read'] };
    return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(metadata));
  }
  if (req.url !== '/mcp') return res.writeHead(404).end();
  const person = await personOf(req.headers.authorization);
  if (!person) return res.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadataUrl}"` }).end();
  return answer(req, res, person);
});
server.listen(Number(PORT), () => console.log(`listening on ${origin}`));

/** RFC 9068, section 4: the right key, type and issuer, and meant for this server. */
async function personOf(authorization = '') {
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

/** A server for each request: it keeps nothing. */
async function answer(req, res, person) {
  const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
  mcp.registerTool('read_notes', { description: 'The notes of whoever is signed in.' }, async () => ({
    content: [{ type: 'text', text: `Notes of ${person}: buy bread.` }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  res.once('close', () => void mcp.close());
  await mcp.connect(transport);
  await transport.handleRequest(req, res);
}
