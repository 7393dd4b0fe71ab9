// Agents as OAuth clients, and tokens that act on behalf of their owners (RFC 8693).
import { decodeJwt } from 'jose';
import { type OnboardedAgent, onboard } from './agents.js';
import { createSignedInAccount } from './api.js';
import { Browser } from './browser.js';
import {
  pkce,
  REDIRECT_URI,
  redeemCode,
  requestToken,
  signInAndConsent,
  type TestClient,
  type TokenResponse,
} from './relying-party.js';
import type { Target } from './request.js';
import { createResource } from './resources.js';
import type { TestServer } from './server.js';

export const EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
/** An API with JWT access tokens, whose scopes can be capabilities. */
export const BOARD_API = 'https://board.example';
/** An API with opaque access tokens. */
export const OPAQUE_API = 'https://opaque.example';

/** Registers `BOARD_API` and `OPAQUE_API`. */
export async function addApis(server: TestServer): Promise<void> {
  await createResource(server, BOARD_API, {
    name: 'Board',
    scopes: [
      { name: 'read:board', capability: true },
      { name: 'write:board', capability: true },
      { name: 'read:cap-table' },
      { name: 'admin', capability: true },
    ],
  });
  await createResource(server, OPAQUE_API, {
    name: 'Opaque',
    accessTokenFormat: 'opaque',
    scopes: [{ name: 'read:cap-table' }],
  });
}

/** Creates an account and an agent that it owns. */
export async function createOwnedAgent(server: TestServer, capabilities: string[]) {
  const owner = await createSignedInAccount(server);
  return { owner, agent: await onboard(server, { capabilities }, owner.access_token) };
}

/** Returns the resource indicator of an agent. */
export const audienceOf = ({ issuer }: { issuer: string }, { client_id: id }: Pick<OnboardedAgent, 'client_id'>) =>
  `${issuer}/agents/${id}`;

/** Returns the client credentials of an agent. */
export const asClient = ({ client_id: id, api_key: secret }: OnboardedAgent): TestClient => ({ id, secret });

/** Returns the scopes of a JWT, sorted. */
export const scopesOf = (accessToken: string | undefined) => String(decodeJwt(accessToken!).scope).split(' ').sort();

/** Exchanges the token of a user for a token of the agent that acts on behalf of the user. */
export const exchangeToken = (
  target: Target,
  client: TestClient,
  subjectToken: string,
  more: Record<string, string> = {},
): Promise<TokenResponse> =>
  requestToken(target, client, {
    grant_type: EXCHANGE_GRANT,
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN_TYPE,
    ...more,
  });

/** Authorizes an app for several resources, and redeems the code for the first of them. */
export async function authorizeResources(
  server: TestServer,
  app: TestClient,
  email: string,
  { resources, scope }: { resources: [string, ...string[]]; scope: string },
): Promise<TokenResponse> {
  const { verifier, challenge } = pkce();
  const url = await signInAndConsent(
    new Browser(server.origin),
    authorizeResourcesUrl(server, app, { resources, scope, challenge }),
    email,
  );
  const code = url.searchParams.get('code');
  if (!code) throw new Error(`no code in ${url}`);
  return redeemCode(server, app, { code, verifier }, { resource: resources[0] });
}

/** Returns the URL of an authorization request for several resources. */
export function authorizeResourcesUrl(
  { origin }: Target,
  app: TestClient,
  { resources, scope, challenge }: { resources: string[]; scope: string; challenge: string },
): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: app.id,
    redirect_uri: REDIRECT_URI,
    scope,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  });
  for (const resource of resources) query.append('resource', resource);
  return `${origin}/oauth/authorize?${query}`;
}
