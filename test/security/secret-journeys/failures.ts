// Journeys that fail: secrets in wrong places, and database errors.
import { Browser } from '../../support/browser.js';
import { authorizeUrl, isActive, pkce, redeemCode, refresh, type TestClient } from '../../support/relying-party.js';
import { FORM } from '../../support/request.js';
import { introspect } from '../../support/token-family.js';
import { type Journey, withoutTable } from './secrets.js';

const JSON_TYPE = 'application/json';

/** Sends secrets where they do not belong, as faulty clients and curious users do. */
export async function misplaceSecrets(
  { server, secrets, send }: Journey,
  client: TestClient,
  browser: Browser,
  email: string,
  password: string,
) {
  const { create } = secrets;
  await send('/oauth/clients/register', `{"client_secret": "${create('malformed JSON')}", `, JSON_TYPE);
  await send('/oauth/clients/register', `{"redirect_uris": "${create('JSON of the wrong type')}"}`, JSON_TYPE);
  await send('/oauth/clients/register', `"${create('JSON string')}"`, JSON_TYPE);
  await send('/oauth/token', `{"client_secret": "${create('JSON at the token endpoint')}"}`, JSON_TYPE);
  await send('/oauth/token', `grant_type=${create('secret as grant type')}`);
  await send('/oauth/token', `grant_type=password&username=${email}&password=${password}&client_id=${client.id}`);
  await send('/oauth/token', `client_secret=${create('secret without client')}&grant_type=client_credentials`);
  await send('/oauth/token', `${create('malformed form')}%`);
  const grant = 'grant_type=client_credentials';
  await send('/oauth/token', grant, FORM, { authorization: `Basic ${create('malformed Basic')}` });
  await send('/oauth/token', grant, FORM, { authorization: create('no scheme at all') });
  await send('/login', `csrf=${create('forged csrf')}&email=${email}&password=${password}`);
  await send('/login', `{"password": "${password}"}`, JSON_TYPE);
  await send('/logout', `csrf=${create('forged csrf')}`);
  const queries = [
    '/oauth/userinfo?access_token=',
    '/oauth/token?client_secret=',
    '/login?password=',
    '/setup?token=',
    '/unknown?token=',
    '/account?code=',
    '/oauth/authorize?code=',
    '/oauth/logout?id_token_hint=',
    '/device?user_code=',
  ];
  for (const path of queries) await browser.open(`${path}${create(`secret in the query of ${path}`)}`);
  for (const path of ['/interaction/', '/oauth/authorize/', '/device/'])
    await browser.open(`${path}${create(`secret in ${path}`)}`);
  const getUserinfo = (authorization: string) =>
    fetch(`${server.origin}/oauth/userinfo`, { headers: { authorization } });
  await getUserinfo(`Bearer ${create('wrong access token')}`);
  await getUserinfo(`DPoP ${create('wrong DPoP-bound token')}`);
  await getUserinfo(create('token without a scheme'));
  await introspect(server, { ...client, secret: create('wrong client secret') }, create('unknown token'));
  await redeemCode(server, client, { code: create('wrong code'), verifier: secrets.keep('verifier', pkce().verifier) });
  await refresh(server, client, create('wrong refresh token'));
  const open = (more: Record<string, string>) => browser.open(authorizeUrl(server, client, pkce().challenge, more));
  await open({ redirect_uri: 'https://evil.example/cb', state: create('state') });
  await open({ id_token_hint: create('hint'), prompt: 'none' });
  await fetch(`${server.origin}/account`, {
    headers: { cookie: `signet_login=${create('wrong cookie')}` },
    redirect: 'manual',
  });
}

/** Repeats the main requests while tables are missing, because database errors quote parameters. */
export async function causeDatabaseErrors(
  { server, secrets }: Journey,
  client: TestClient,
  email: string,
  password: string,
) {
  const browser = new Browser(server.origin);
  await browser.signIn(email, password);
  secrets.keepCookies(browser);
  const { verifier, challenge } = pkce();
  const obtainCode = async () => {
    const { url } = await browser.open(authorizeUrl(server, client, challenge));
    return { code: secrets.keep('code', url.searchParams.get('code')), verifier };
  };
  const tokens = secrets.keepTokens((await redeemCode(server, client, await obtainCode())).body);
  const unused = await obtainCode();
  for (const table of ['OidcArtifact', 'RefreshToken', 'Grant', 'Session', 'Account']) {
    await withoutTable(server, table, () =>
      Promise.allSettled([
        redeemCode(server, client, unused),
        refresh(server, client, tokens.refresh_token!),
        isActive(server, tokens.access_token!),
        introspect(server, client, tokens.access_token!),
        browser.open('/account'),
        new Browser(server.origin).signIn(email, password),
        new Browser(server.origin).open(authorizeUrl(server, client, challenge)),
      ]),
    );
  }
}
