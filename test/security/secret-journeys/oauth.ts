// Journeys of OAuth clients: authorization, tokens, devices, proofs, registrations and approvals.

import { FIRST_PAGE } from '../../../src/base/paging.js';
import { addCapTable, createClaimedAgent, poll, requestApproval } from '../../support/approval-requests.js';
import { Browser } from '../../support/browser.js';
import { assertion, dpop, makeKey, tokenWithProof } from '../../support/client-keys.js';
import { DEVICE_CLIENT, DEVICE_GRANT } from '../../support/device.js';
import {
  authorizeUrl,
  isActive,
  pkce,
  REDIRECT_URI,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
} from '../../support/relying-party.js';
import { basicAuth, FORM } from '../../support/request.js';
import { introspect, revoke } from '../../support/token-family.js';
import type { Journey } from './secrets.js';

/** Signs in and consents for a client. Returns the code and its PKCE verifier. */
export async function authorize(
  { server, secrets }: Journey,
  browser: Browser,
  client: TestClient,
  email: string,
  password: string,
) {
  await browser.submit(await browser.open('/logout'));
  const { verifier, challenge } = pkce();
  secrets.keep('code verifier', verifier);
  const login = await browser.open(authorizeUrl(server, client, challenge));
  secrets.keepInteraction(login.url);
  secrets.keepCookies(browser);
  await browser.signIn(email, secrets.create('wrong password in an authorization'), login);
  const consent = await browser.signIn(email, password, login);
  secrets.keepInteraction(consent.url);
  secrets.keepCookies(browser);
  const { url } = await browser.submit(consent, { decision: 'allow' });
  await browser.open(consent.url); // finished
  await browser.open(consent.url.pathname.replace('/interaction', '/oauth/authorize'));
  return { code: secrets.keep('code', url.searchParams.get('code')), verifier };
}

export async function useTokens(
  { server, secrets }: Journey,
  client: TestClient,
  obtained: { code: string; verifier: string },
) {
  await redeemCode(server, client, { ...obtained, verifier: secrets.keep('wrong verifier', pkce().verifier) });
  const first = secrets.keepTokens((await redeemCode(server, client, obtained)).body);
  await isActive(server, first.access_token!);
  await introspect(server, client, first.access_token!);
  const second = secrets.keepTokens((await refresh(server, client, first.refresh_token!)).body);
  const third = secrets.keepTokens((await refresh(server, client, second.refresh_token!)).body);
  await refresh(server, client, first.refresh_token!); // reuse
  await refresh(server, client, third.refresh_token!);
  await redeemCode(server, client, obtained); // reuse
  await isActive(server, third.access_token!);
  await revoke(server, client, third.access_token!);
  await revoke(server, await server.client(), first.access_token!);
  const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  secrets.keep('client secret', machine.secret);
  const forOwnApi = { resource: `${server.issuer}/api/v1`, scope: 'memory:read' };
  for (const more of [{} as Record<string, string>, forOwnApi]) {
    const { body } = await requestToken(server, machine, { grant_type: 'client_credentials', ...more });
    secrets.keepTokens(body);
    await isActive(server, body.access_token!);
    await introspect(server, machine, body.access_token!);
    await revoke(server, machine, body.access_token!);
  }
}

/** Connects one device and rejects another. */
export async function connectDevice({ server, secrets, send }: Journey, browser: Browser, client: TestClient) {
  const device = await server.client(DEVICE_CLIENT);
  const begin = async () => {
    const response = await send('/oauth/device', `client_id=${device.id}&scope=openid`);
    const body = (await response.json()) as { device_code: string; user_code: string };
    secrets.keep('device code', body.device_code);
    secrets.keep('user code', body.user_code);
    secrets.keepAs('user code without dash', body.user_code.replace('-', ''));
    return body;
  };
  const pollOnce = (deviceCode: string, sender = device) =>
    requestToken(server, sender, { grant_type: DEVICE_GRANT, device_code: deviceCode });
  const approved = await begin();
  await pollOnce(approved.device_code);
  await browser.open(`/device?user_code=${approved.user_code}`);
  const confirmation = await browser.submit(await browser.open('/device'), { user_code: approved.user_code });
  const next = await browser.submit(confirmation, { confirm: 'yes' });
  secrets.keepCookies(browser);
  if (next.url.pathname.startsWith('/interaction/')) {
    secrets.keepInteraction(next.url);
    await browser.submit(next, { decision: 'allow' });
  }
  secrets.keepTokens((await pollOnce(approved.device_code)).body);
  await pollOnce(approved.device_code); // used
  const rejected = await begin();
  const question = await browser.submit(await browser.open('/device'), { user_code: rejected.user_code });
  await browser.submit(question, { abort: 'yes' });
  await pollOnce(rejected.device_code);
  await pollOnce(rejected.device_code, client);
  await send('/device', `user_code=${rejected.user_code}&xsrf=${secrets.create('forged xsrf')}`);
}

/** Uses pushed authorization requests, client assertions and DPoP proofs, each of them twice. */
export async function pushAndProve({ server, secrets, send }: Journey, client: TestClient) {
  const query = new URL(authorizeUrl(server, client, pkce().challenge)).search.slice(1);
  const pushed = await send('/oauth/par', query, FORM, { authorization: basicAuth(client) });
  const { request_uri: requestUri } = (await pushed.json()) as { request_uri: string };
  const params = new URLSearchParams({
    client_id: client.id,
    request_uri: secrets.keep('request_uri', requestUri),
  });
  const browser = new Browser(server.origin);
  for (let n = 0; n < 2; n += 1) {
    const page = await browser.open(`/oauth/authorize?${params}`);
    if (page.url.searchParams.has('return_to')) secrets.keepInteraction(page.url);
  }
  secrets.keepCookies(browser);
  const key = await makeKey();
  const { id } = await server.client({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] },
  });
  const machine = { id, secret: '' };
  const proof = await assertion(key, machine.id, server.issuer);
  secrets.keep('assertion', proof.client_assertion);
  const grant = { grant_type: 'client_credentials' };
  secrets.keepTokens((await requestToken(server, machine, { ...grant, ...proof })).body);
  await requestToken(server, machine, { ...grant, ...proof }); // reuse
  const second = await assertion(key, machine.id, server.issuer);
  const bound = secrets.keepTokens((await tokenWithProof(server, machine, key, { ...grant, ...second })).body);
  const wrongProof = secrets.keep('DPoP proof', await dpop(key, { htm: 'GET', htu: `${server.issuer}/other` }));
  await fetch(`${server.origin}/oauth/userinfo`, {
    headers: { authorization: `DPoP ${bound.access_token}`, dpop: wrongProof },
  });
}

/** Registers clients, updates one with right and wrong secrets, and deletes it. */
export async function manageRegistration({ server, secrets, send, sendJson }: Journey) {
  const register = async (metadata: object = {}) => {
    const body = { client_name: 'Self-registered', redirect_uris: [REDIRECT_URI], ...metadata };
    const client = await sendJson('/oauth/clients/register', { body });
    if (client.client_secret) secrets.keep('client secret', client.client_secret);
    secrets.keep('registration token', client.registration_access_token);
    return client;
  };
  const client = await register();
  const path = `/oauth/clients/register/${client.client_id}`;
  const authorization = `Bearer ${client.registration_access_token}`;
  const request = (method: string, token = authorization) =>
    fetch(`${server.origin}${path}`, { method, headers: { authorization: token } });
  const put = (body: object) => send(path, JSON.stringify(body), 'application/json', { authorization }, 'PUT');
  await request('GET');
  const metadata = { client_id: client.client_id, redirect_uris: [REDIRECT_URI] };
  await put({ ...metadata, client_secret: client.client_secret });
  await put({ ...metadata, client_secret: secrets.create('wrong client secret in metadata') });
  await put({ ...metadata, redirect_uris: [`http://${secrets.create('secret in a redirect URI')}.example`] });
  await request('GET', `Bearer ${secrets.create('wrong registration token')}`);
  await request('DELETE');
  await request('DELETE'); // deleted
  await register({ token_endpoint_auth_method: 'none' });
}

/** Requests approval of an action with CIBA, and polls before and after the user approves. */
export async function requestApprovals({ server, secrets, sendJson }: Journey) {
  await addCapTable(server);
  const agent = await createClaimedAgent(server);
  secrets.keep('agent key', agent.api_key);
  secrets.keep('agent token', agent.token);
  const request = await requestApproval(server, agent, agent.ownerEmail);
  secrets.keep('auth_req_id', request.body.auth_req_id);
  await poll(server, agent, request);
  await poll(server, agent, request); // too early
  await requestApproval(server, agent, agent.ownerEmail); // while the first one is pending
  await requestApproval(server, { ...agent, api_key: secrets.create('wrong agent key') }, agent.ownerEmail);
  const owner = (await server.core.accounts.find(agent.ownerId))!;
  const { items } = await server.core.approvals.list(owner, FIRST_PAGE);
  const [pending] = items;
  const token = secrets.keep('access_token', agent.bearer);
  for (let n = 0; n < 2; n += 1) {
    await sendJson(`/api/v1/approvals/${pending!.id}`, { body: { decision: 'approve' }, token });
  }
  secrets.keepTokens((await poll(server, agent, request)).body);
  await poll(server, agent, request); // used
  await poll(server, agent, { body: { auth_req_id: secrets.create('wrong auth_req_id') } });
}

export async function signOut({ server, secrets }: Journey, browser: Browser, client: TestClient) {
  const { verifier, challenge } = pkce();
  const { url } = await browser.open(authorizeUrl(server, client, challenge, { prompt: 'none' }));
  const code = secrets.keep('code', url.searchParams.get('code'));
  const { id_token: hint } = secrets.keepTokens((await redeemCode(server, client, { code, verifier })).body);
  await browser.open(`/oauth/logout?id_token_hint=${hint}&post_logout_redirect_uri=https://evil.example`);
  const page = await browser.open(`/oauth/logout?id_token_hint=${hint}`);
  secrets.keepCookies(browser);
  await browser.submit(page, { logout: 'yes' });
  await browser.submit(page, { logout: 'yes' });
}
