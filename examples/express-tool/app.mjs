// An internal tool on Express. Signet authenticates its users and decides their access level, so
// the tool has no accounts, passwords or sessions.
import express from 'express';
// In your own project, import from 'signet/kit/express' and 'signet/kit'.
import { authOf, protect } from '../../dist/kit/adapters/express.js';
import { createRemoteVerifier } from '../../dist/kit/index.js';
import { registerTool } from './register.mjs';

const { ISSUER = 'http://localhost:3000', PORT = '3001' } = process.env;
const { EMAIL = 'ada@example.com', PASSWORD = 'a demo needs no secret' } = process.env;
const origin = `http://localhost:${PORT}`;

const key = await registerTool(
  ISSUER,
  { slug: 'deals', name: 'Deals', url: origin },
  { email: EMAIL, password: PASSWORD },
);
const { resolve } = createRemoteVerifier({ issuer: ISSUER, audience: origin, tool: 'deals', acceptLogins: true });

const deals = [{ name: 'Analytical Engine', stage: 'open' }];

const app = express();
app.use(express.json());
app.get('/deals', protect(resolve), (_req, res) => res.json(deals));
app.post('/deals', protect(resolve, { level: 'write' }), (req, res) => {
  const deal = { name: String(req.body?.name), stage: 'open', by: authOf(req).userId };
  deals.push(deal);
  res.status(201).json(deal);
});

app.listen(Number(PORT), () => {
  console.log(`listening on ${origin}

  curl ${origin}/deals                                            # 401: no credential
  curl ${origin}/deals -H 'Authorization: Bearer ${key}'
  curl ${origin}/deals -H 'Authorization: Bearer ${key}' --json '{"name":"Note G"}'
`);
});
