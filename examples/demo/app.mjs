// A third-party app. It needs only the issuer URL, and registers itself when it starts.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as client from 'openid-client';

const SCOPE = 'openid profile email memory:read';

export async function startApp({ issuer, url, api }) {
  const redirectUri = `${url}/callback`;
  const apiAudience = `${issuer}/api/v1`;
  const config = await client.dynamicClientRegistration(
    new URL(issuer),
    {
      client_name: 'Memory Lane',
      client_uri: url,
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [url],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    client.ClientSecretBasic(),
    { execute: [client.allowInsecureRequests] }, // only for an issuer on localhost
  );
  const sessions = new Map();

  const server = createServer(async (req, res) => {
    const here = new URL(req.url ?? '/', url);
    const id = /(?:^|; )demo=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1];
    try {
      const route = { '/': home, '/sign-in': signIn, '/callback': callback, '/sign-out': signOut }[here.pathname];
      if (!route) return page(res, 404, '<h1>Page not found</h1>');
      await route(res, here, id);
    } catch (error) {
      page(
        res,
        400,
        `<h1>Sign-in failed</h1><p>${escapeHtml(error.error ?? error.message)}</p><p><a href="/">Back</a></p>`,
      );
    }
  });
  await once(server.listen(Number(new URL(url).port)), 'listening');
  return server;

  function home(res, _here, id) {
    const session = sessions.get(id);
    if (!session?.claims)
      return page(res, 200, '<h1>Memory Lane</h1><p><a class="button" href="/sign-in">Sign in with Signet</a></p>');
    page(
      res,
      200,
      `<h1>Hello ${escapeHtml(session.claims.name ?? session.claims.email)}</h1>
       <h2>Claims of the ID token</h2><pre>${json(session.claims)}</pre>
       <h2>Userinfo</h2><pre>${json(session.userinfo)}</pre>
       <h2>API response</h2><p>requested with an access token for <code>${escapeHtml(apiAudience)}</code></p><pre>${json(session.memories)}</pre>
       <p><a class="button" href="/sign-out">Sign out</a></p>`,
    );
  }

  /** Starts the sign-in. State, nonce and PKCE verifier are stored for this browser. */
  async function signIn(res) {
    const id = randomUUID();
    const verifier = client.randomPKCECodeVerifier();
    const [state, nonce] = [client.randomState(), client.randomNonce()];
    sessions.set(id, { verifier, state, nonce });
    const to = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: SCOPE,
      resource: apiAudience,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    redirect(res, to.href, id);
  }

  /** Completes the sign-in: gets a token for userinfo, then a token for the API. */
  async function callback(res, here, id) {
    const pending = sessions.get(id);
    if (!pending?.verifier) return redirect(res, '/');
    const tokens = await client.authorizationCodeGrant(config, here, {
      pkceCodeVerifier: pending.verifier,
      expectedState: pending.state,
      expectedNonce: pending.nonce,
    });
    const claims = tokens.claims();
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
    const forApi = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: apiAudience });
    const response = await fetch(`${api}/memories`, { headers: { authorization: `Bearer ${forApi.access_token}` } });
    const fresh = randomUUID(); // a new session id after the sign-in prevents session fixation
    sessions.delete(id);
    sessions.set(fresh, { claims, userinfo, memories: await response.json(), idToken: tokens.id_token });
    redirect(res, '/', fresh);
  }

  function signOut(res, _here, id) {
    const idToken = sessions.get(id)?.idToken;
    sessions.delete(id);
    redirect(
      res,
      client.buildEndSessionUrl(config, { post_logout_redirect_uri: url, ...(idToken && { id_token_hint: idToken }) })
        .href,
    );
  }
}

function redirect(res, to, session) {
  const cookie = session && { 'set-cookie': `demo=${session}; HttpOnly; SameSite=Lax; Path=/` };
  res.writeHead(303, { location: to, ...cookie }).end();
}

function page(res, status, body) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
     <title>Memory Lane</title><style>
     :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
     body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
     pre { padding: 1rem; border: 1px solid #8886; border-radius: .5rem; overflow-x: auto }
     .button { display: inline-block; padding: .6rem 1.2rem; border-radius: .5rem; background: #2456a6; color: #fff; text-decoration: none }
     </style><body>${body}</body></html>`,
  );
}

const escapeHtml = (value) => String(value).replace(/[&<>"']/g, (char) => `&#${char.codePointAt(0)};`);
const json = (value) => escapeHtml(JSON.stringify(value, null, 2));
