// An app on Passport. The strategy of openid-client uses discovery and PKCE.
import express from 'express';
import session from 'express-session';
import * as oidc from 'openid-client';
import { Strategy } from 'openid-client/passport';
import passport from 'passport';
import { register } from '../signet.mjs';

const { ISSUER = 'http://localhost:3000', PORT = '3001', SIGNET_CLIENT_ID, SIGNET_CLIENT_SECRET } = process.env;
const origin = `http://localhost:${PORT}`;
const callbackURL = `${origin}/callback`;

const { client_id: clientId, client_secret: secret } = SIGNET_CLIENT_ID
  ? { client_id: SIGNET_CLIENT_ID, client_secret: SIGNET_CLIENT_SECRET }
  : await register(ISSUER, { client_name: 'Passport example', redirect_uris: [callbackURL] });
const config = await oidc.discovery(new URL(ISSUER), clientId, secret, oidc.ClientSecretBasic(secret), {
  execute: ISSUER.startsWith('http://localhost') ? [oidc.allowInsecureRequests] : [],
});

passport.use(
  'signet',
  new Strategy({ config, callbackURL, scope: 'openid profile email' }, (tokens, done) => {
    const { sub, name, email } = tokens.claims();
    done(null, { id: sub, name, email });
  }),
);
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

const app = express();
app.use(session({ secret: 'use 32 random bytes in production', resave: false, saveUninitialized: false }));
app.use(passport.session());

app.get('/', ({ user }, res) =>
  user
    ? res.send(`<title>Passport</title><p>Hello ${escapeHtml(user.email)}</p><a href="/logout">Sign out</a>`)
    : res.send('<title>Passport</title><a href="/login">Sign in</a>'),
);
app.get('/login', passport.authenticate('signet'));
app.get('/callback', passport.authenticate('signet', { successRedirect: '/', failureRedirect: '/' }));
app.get('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.redirect('/'))));

app.listen(Number(PORT), () => console.log(`listening on ${origin}`));

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (char) => `&#${char.codePointAt(0)};`);
