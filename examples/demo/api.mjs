// An API that verifies access tokens as in RFC 9068, section 4: signature, type, issuer, audience
// and scope.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const MEMORIES = ['Ada likes the difference engine.', 'She met Charles in June.', 'The demo works.'];

/** Serves `GET /memories` to tokens with the scope `memory:read`. */
export async function startApi({ issuer, url }) {
  const audience = `${issuer}/api/v1`;
  const { jwks_uri: jwksUri } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const keys = createRemoteJWKSet(new URL(jwksUri));

  const server = createServer(async (req, res) => {
    try {
      if (req.url !== '/memories') return respond(res, 404, { error: 'not_found' });
      const [, token] = /^Bearer (.+)$/.exec(req.headers.authorization ?? '') ?? [];
      if (!token) return respond(res, 401, { error: 'no_auth' });
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', algorithms: ['ES256'] });
      const scopes = String(payload.scope ?? '').split(' ');
      if (!scopes.includes('memory:read'))
        return respond(res, 403, { error: 'insufficient_scope', scope: 'memory:read' });
      respond(res, 200, { subject: payload.sub, client: payload.client_id, memories: MEMORIES });
    } catch (error) {
      respond(res, 401, { error: 'invalid_token', error_description: error.code ?? 'the token cannot be verified' });
    }
  });
  await once(server.listen(Number(new URL(url).port)), 'listening');
  return server;
}

function respond(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body));
}
