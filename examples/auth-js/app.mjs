// An app on Auth.js (NextAuth 5), here on Express. In a Next.js app, pass the same provider object
// to `NextAuth({ providers: [...] })`.
import { ExpressAuth, getSession } from '@auth/express';
import express from 'express';
import { register } from '../signet.mjs';

const { ISSUER = 'http://localhost:3000', PORT = '3001', SIGNET_CLIENT_ID, SIGNET_CLIENT_SECRET } = process.env;
const origin = `http://localhost:${PORT}`;

const { client_id: clientId, client_secret: clientSecret } = SIGNET_CLIENT_ID
  ? { client_id: SIGNET_CLIENT_ID, client_secret: SIGNET_CLIENT_SECRET }
  : await register(ISSUER, { client_name: 'Auth.js example', redirect_uris: [`${origin}/auth/callback/signet`] });

const config = {
  trustHost: true,
  secret: process.env.AUTH_SECRET ?? 'use 32 random bytes in production',
  providers: [
    {
      id: 'signet',
      name: 'Signet',
      type: 'oidc',
      issuer: ISSUER,
      authorization: { params: { scope: 'openid profile email' } },
      clientId,
      clientSecret,
      profile: ({ sub, name, email }) => ({ id: sub, name, email }),
    },
  ],
};

const app = express();
app.use('/auth', ExpressAuth(config));

app.get('/', async (req, res) => {
  const session = await getSession(req, config);
  if (!session) return res.send('<title>Auth.js</title><a href="/auth/signin">Sign in</a>');
  return res.send(
    `<title>Auth.js</title><p>Hello ${escapeHtml(session.user.email)}</p><a href="/auth/signout">Sign out</a>`,
  );
});

app.listen(Number(PORT), () => console.log(`listening on ${origin}`));

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (char) => `&#${char.codePointAt(0)};`);
