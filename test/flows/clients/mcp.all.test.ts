// The official MCP clients, which know only the URL of an MCP server (specification 2026-07-28).
// They find the authorization server by its metadata, identify themselves with a metadata document
// or by registration, and use tokens whose audience is the MCP server.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { type DocumentHost, openDocumentHost } from '../../support/client-documents.js';
import { importClient } from '../../support/client-libraries.js';
import { bodyOf, type HttpServer, openHttpServer } from '../../support/http-server.js';
import { browserFor, completeSignIn } from '../../support/openid-client.js';
import { startServer, type TestServer } from '../../support/server.js';

/** The common interface of both versions of the client. */
interface Transport {
  finishAuth(code: string, iss?: string): Promise<void>;
}
interface Mcp {
  connect(transport: Transport): Promise<void>;
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(call: { name: string }): Promise<{ content: { text: string }[] }>;
  close(): Promise<void>;
}
interface Sdk {
  Client: new (info: { name: string; version: string }) => Mcp;
  StreamableHTTPClientTransport: new (url: URL, options: { authProvider: object }) => Transport;
}

const SDKS: { sdk: string; load: () => Promise<Sdk> }[] = [
  {
    sdk: '@modelcontextprotocol/sdk 1',
    async load() {
      const { Client } = await importClient<Sdk>('@modelcontextprotocol/sdk/client/index.js');
      const { StreamableHTTPClientTransport } = await importClient<Sdk>(
        '@modelcontextprotocol/sdk/client/streamableHttp.js',
      );
      return { Client, StreamableHTTPClientTransport };
    },
  },
  { sdk: '@modelcontextprotocol/client 2', load: () => importClient<Sdk>('@modelcontextprotocol/client') },
];

/** The SDKs require https. The server fetches this origin from the document host. */
const APP = 'https://notebook.example';
const DOCUMENT = `${APP}/client.json`;
const CLIENT = {
  client_name: 'Notebook',
  redirect_uris: ['http://localhost/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};

describe.each(SDKS)('$sdk', ({ load }) => {
  let sdk: Sdk;
  let server: TestServer;
  let host: DocumentHost;
  let httpServer: HttpServer;
  /** The claims of the tokens that the MCP server received. */
  const receivedClaims: JWTPayload[] = [];
  const url = () => `${httpServer.origin}/mcp`;
  beforeAll(async () => {
    sdk = await load();
    host = await openDocumentHost();
    server = await startServer({
      wrapBase: (base) => ({
        ...base,
        fetch: (target, init) => base.fetch(String(target).replace(APP, host.origin), init),
      }),
    });
    host.serve(DOCUMENT, CLIENT);
    httpServer = await openMcpServer();
    const scopes = [
      { name: 'notes:read', description: 'Read your notes.', byDefault: true, capability: false },
      { name: 'notes:write', description: 'Change your notes.', byDefault: false, capability: false },
    ];
    const format = { accessTokenFormat: 'jwt', accessTokenTtlSeconds: undefined } as const;
    const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
    const api = { identifier: url(), name: 'Notes', scopes, ...format, ...access };
    await server.core.resourceRegistry.create(api, { kind: 'system' }, systemMeta);
  });
  afterAll(async () => {
    await httpServer.close();
    await server.close();
    await host.close();
  });

  /** Opens an MCP server with two tools. The tool `write` needs an additional scope. */
  async function openMcpServer(): Promise<HttpServer> {
    const keys = createRemoteJWKSet(new URL(`${server.issuer}/oauth/jwks`));
    const { McpServer } = await importClient<{ McpServer: new (info: object) => AnyMcpServer }>(
      '@modelcontextprotocol/sdk/server/mcp.js',
    );
    const { StreamableHTTPServerTransport } = await importClient<{
      StreamableHTTPServerTransport: new (options: object) => AnyServerTransport;
    }>('@modelcontextprotocol/sdk/server/streamableHttp.js');

    return openHttpServer(async (req, res) => {
      if (req.url === '/.well-known/oauth-protected-resource/mcp') {
        res.writeHead(200, { 'content-type': 'application/json' });
        const metadata = { resource: url(), authorization_servers: [server.issuer], scopes_supported: ['notes:read'] };
        res.end(JSON.stringify(metadata));
        return;
      }
      if (req.url !== '/mcp') return void res.writeHead(404).end();
      const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
      const expected = { issuer: server.issuer, audience: url(), typ: 'at+jwt', algorithms: ['ES256'] };
      const verified = token && (await jwtVerify(token, keys, expected).catch(() => undefined));
      if (!verified) return reject(res, 401);
      receivedClaims.push(verified.payload);
      const message = req.method === 'POST' ? JSON.parse(await bodyOf(req)) : undefined;
      const scopes = String(verified.payload.scope).split(' ');
      if (message?.params?.name === 'write' && !scopes.includes('notes:write')) {
        return reject(res, 403, 'error="insufficient_scope", scope="notes:write", ');
      }
      await respond(req, res, message);
    });

    function reject(res: ServerResponse, status: number, reason = ''): void {
      const metadata = `resource_metadata="${httpServer.origin}/.well-known/oauth-protected-resource/mcp"`;
      res.writeHead(status, { 'www-authenticate': `Bearer ${reason}${metadata}` }).end();
    }

    async function respond(req: IncomingMessage, res: ServerResponse, message: unknown): Promise<void> {
      const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
      for (const name of ['read', 'write']) {
        mcp.registerTool(name, { description: name }, async () => ({
          content: [{ type: 'text', text: `${name} done` }],
        }));
      }
      const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
      const closed = new Promise((resolve) => res.once('close', resolve));
      await mcp.connect(transport);
      await transport.handleRequest(req, res, message);
      await closed;
      await mcp.close();
    }
  }

  /** Creates a native app. `stored` is its state. */
  function newApp(more: object = {}) {
    const redirectUrl = 'http://localhost:51789/callback';
    const stored: {
      client?: Record<string, unknown>;
      tokens?: Record<string, unknown>;
      verifier?: string;
      discovery?: object;
      authorizationUrl?: URL;
    } = {};
    const authProvider = {
      redirectUrl,
      clientMetadata: { ...CLIENT, redirect_uris: [redirectUrl] },
      clientInformation: () => stored.client,
      saveClientInformation(client: Record<string, unknown>) {
        stored.client = client;
      },
      tokens: () => stored.tokens,
      saveTokens(tokens: Record<string, unknown>) {
        stored.tokens = tokens;
      },
      codeVerifier: () => stored.verifier,
      saveCodeVerifier(verifier: string) {
        stored.verifier = verifier;
      },
      discoveryState: () => stored.discovery,
      saveDiscoveryState(discovery: object) {
        stored.discovery = discovery;
      },
      redirectToAuthorization(url: URL) {
        stored.authorizationUrl = url;
      },
      ...more,
    };
    const transport = () => new sdk.StreamableHTTPClientTransport(new URL(url()), { authProvider });
    const client = () => new sdk.Client({ name: 'notebook', version: '1.0.0' });
    return { stored, transport, client };
  }

  /** Signs in and consents in the browser, and passes the response to the app. */
  async function authorize(
    { stored, transport }: ReturnType<typeof newApp>,
    browser: ReturnType<typeof browserFor>,
    email: string,
  ) {
    const callback = (await completeSignIn(browser, stored.authorizationUrl!, email)).url;
    expect(callback.origin + callback.pathname, callback.href).toBe('http://localhost:51789/callback');
    expect(callback.searchParams.get('error_description')).toBeNull();
    expect(callback.searchParams.get('iss')).toBe(server.issuer);
    await transport().finishAuth(callback.searchParams.get('code')!, callback.searchParams.get('iss')!);
  }

  /** Connects the app after a sign-in. */
  async function connect(app: ReturnType<typeof newApp>, browser: ReturnType<typeof browserFor>, email: string) {
    await expect(app.client().connect(app.transport())).rejects.toThrow();
    await authorize(app, browser, email);
    const client = app.client();
    await client.connect(app.transport());
    return client;
  }

  it.each([
    ['a metadata document', { clientMetadataUrl: DOCUMENT }, 'document'],
    ['registration', {}, 'registration'],
  ])('signs in by %s, with tokens for the MCP server only', async (_name, more, origin) => {
    const { email, id } = await server.account();
    const app = newApp(more);
    const client = await connect(app, browserFor(server), email);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['read', 'write']);
    expect((await client.callTool({ name: 'read' })).content[0]!.text).toBe('read done');
    await client.close();
    const clientId = String(app.stored.client!.client_id);
    expect((await server.core.clients.find(clientId))?.origin).toBe(origin);
    if (origin === 'document') expect(clientId).toBe(DOCUMENT);
    expect(receivedClaims.at(-1)).toMatchObject({ aud: url(), client_id: clientId, sub: id, scope: 'notes:read' });
    expect(app.stored.authorizationUrl!.searchParams.get('resource')).toBe(url());
  });

  it.each([
    ['a metadata document', { clientMetadataUrl: DOCUMENT }],
    ['registration', {}],
  ])('asks the user for consent again when a tool needs another scope, by %s', async (_name, more) => {
    const { email } = await server.account();
    const browser = browserFor(server);
    const app = newApp(more);
    const client = await connect(app, browser, email);
    delete app.stored.tokens!.refresh_token; // version 1 would refresh, which grants no scope
    await expect(client.callTool({ name: 'write' })).rejects.toThrow();
    await client.close();
    expect(app.stored.authorizationUrl!.searchParams.get('scope')).toContain('notes:write');
    await authorize(app, browser, email);
    const reconnected = app.client();
    await reconnected.connect(app.transport());
    expect((await reconnected.callTool({ name: 'write' })).content[0]!.text).toBe('write done');
    await reconnected.close();
  });

  it('refreshes an expired token', async () => {
    const { email } = await server.account();
    const app = newApp({ clientMetadataUrl: DOCUMENT });
    await (await connect(app, browserFor(server), email)).close();
    const before = { ...app.stored.tokens };
    app.stored.tokens = { ...before, access_token: 'expired' };
    const client = app.client();
    await client.connect(app.transport());
    await client.close();
    expect(app.stored.tokens!.refresh_token).not.toBe(before.refresh_token);
    expect(receivedClaims.at(-1)!.aud).toBe(url());
  });
});

interface AnyMcpServer {
  registerTool(name: string, config: object, run: () => Promise<object>): void;
  connect(transport: AnyServerTransport): Promise<void>;
  close(): Promise<void>;
}
interface AnyServerTransport {
  handleRequest(req: IncomingMessage, res: ServerResponse, body: unknown): Promise<void>;
}
