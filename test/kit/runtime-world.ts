// The environment of the service that is tested on several runtimes: a real Signet, an issuer that
// can be slow, a sign-in provider, a trust domain, and API keys of the service itself.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { generateApiKey } from '../../src/kit/index.js';
import { addCapTable, CAP_TABLE, createClaimedAgent } from '../support/approval-requests.js';
import { makeKey } from '../support/client-keys.js';
import { bodyOf, openHttpServer } from '../support/http-server.js';
import { movableClock } from '../support/movable-clock.js';
import { requestToken } from '../support/relying-party.js';
import { createResource } from '../support/resources.js';
import { makeProject } from '../support/runtimes.js';
import { startServer } from '../support/server.js';
import { makeTrustDomain } from '../support/workloads.js';
import { AUDIENCE, openIssuer } from './issuer.js';

export type World = Awaited<ReturnType<typeof openWorld>>;
export const OTHER = 'https://other.example';
const SECRET = 'a secret of thirty-two characters';

export async function openWorld() {
  const { clock, advance } = movableClock();
  const server = await startServer({ clock });
  await createResource(server, AUDIENCE, { scopes: [{ name: 'ticket:read' }] });
  await createResource(server, OTHER, { scopes: [{ name: 'other:read' }] });
  await addCapTable(server);
  const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  const agent = await createClaimedAgent(server);
  const [slow, provider, project, domain] = [
    await serveIssuer(),
    await serveProvider(),
    makeProject(),
    makeTrustDomain('shop.example'),
  ];
  const holder = await makeKey();
  const [key, boundKey, revokedKey] = [generateApiKey(), generateApiKey(), generateApiKey()];
  const closedIssuer = await closedOrigin();

  const settings = {
    issuer: server.issuer,
    audience: AUDIENCE,
    secret: SECRET,
    slowIssuer: slow.origin,
    closedIssuer,
    provider: provider.origin,
    trustDomain: domain.name,
    bundle: JSON.parse(domain.bundle()),
    approver: agent.ownerEmail,
    approvals: {
      issuer: server.issuer,
      clientId: agent.client_id,
      clientSecret: agent.api_key,
      resource: CAP_TABLE,
      scope: 'write:equity',
    },
    agents: [
      stored('bot', key),
      { ...stored('bound', boundKey), jkt: holder.thumbprint },
      { ...stored('revoked', revokedKey), revokedAt: '2026-01-01T00:00:00Z' },
    ],
  };
  const keys = { key: key.key, bound: boundKey.key, revoked: revokedKey.key };
  const hosts = [server.issuer, slow.origin, provider.origin, closedIssuer].map((origin) => new URL(origin).host);
  return {
    server,
    advance,
    machine,
    agent,
    slow,
    domain,
    holder,
    keys,
    secret: SECRET,
    project,
    settings,
    hosts,
    issue,
    close,
  };

  /** Issues an access token to a machine client. */
  async function issue(resource = AUDIENCE): Promise<string> {
    const { body } = await requestToken(server, machine, { grant_type: 'client_credentials', resource });
    return body.access_token!;
  }

  async function close() {
    await Promise.all([slow.close(), provider.close(), server.close()]);
    project.remove();
  }
}

const stored = (id: string, { hash, prefix }: { hash: string; prefix: string }) => ({
  id,
  name: id,
  apiKeyHash: hash,
  apiKeyPrefix: prefix,
  permissions: ['ticket:read', 'order:write'],
});

/** Serves the fake issuer over HTTP. `delay` delays all responses until its result is called. */
async function serveIssuer() {
  let pending = 0;
  let issuer: Awaited<ReturnType<typeof openIssuer>> | undefined;
  const httpServer = await openHttpServer(async (req, res) => {
    const { authorization = '' } = req.headers;
    const body = await bodyOf(req);
    pending += 1;
    const response = await issuer!.fetch(httpServer.origin + req.url, { headers: { authorization }, body });
    pending -= 1;
    res.writeHead(response.status, { 'content-type': 'application/json' });
    res.end(await response.text());
  });
  issuer = await openIssuer(httpServer.origin);
  return { ...issuer, ...httpServer, delay, isPending: () => pending > 0 };

  function delay(): () => void {
    let release = () => {};
    issuer!.state.delay = new Promise((resolve) => {
      release = resolve;
    });
    return () => release();
  }
}

/** Accepts the code `good.<nonce>`, and returns an ID token with that nonce. */
async function serveProvider() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'p', alg: 'RS256', use: 'sig' };
  const httpServer = await openHttpServer(async (req, res) => {
    const form = new URLSearchParams(await bodyOf(req));
    const [prefix, nonce] = (form.get('code') ?? '').split('.');
    const isValid = prefix === 'good' && form.get('code_verifier')?.length === 43;
    const idToken = () =>
      new SignJWT({ nonce, email: 'jane@example.com', email_verified: true })
        .setProtectedHeader({ alg: 'RS256', kid: 'p' })
        .setIssuer(httpServer.origin)
        .setAudience('client-1')
        .setSubject('1089')
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(privateKey);
    const [status, body] =
      req.url === '/jwks'
        ? [200, { keys: [jwk] }]
        : isValid
          ? [200, { access_token: 'at', token_type: 'bearer', id_token: await idToken() }]
          : [400, { error: 'invalid_grant' }];
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(body));
  });
  return httpServer;
}

/** Returns an origin without a server. */
async function closedOrigin(): Promise<string> {
  const httpServer = createServer();
  await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve));
  const { port } = httpServer.address() as AddressInfo;
  await new Promise((resolve) => httpServer.close(resolve));
  return `http://localhost:${port}`;
}
