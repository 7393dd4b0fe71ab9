// Compares the kit's checks with jose or Web Crypto alone on the same input.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  EmbeddedJWK,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose';
import {
  createMemoryReplayStore,
  createRemoteVerifier,
  generateApiKey,
  signSession,
  verifyApiKey,
  verifyDpop,
  verifySession,
} from 'signet/kit';
import type { Bench } from './run.js';
import { median } from './start.js';

const ROUNDS = 7;
const CALLS = 1500;
const ISSUER = 'https://id.example.com';
const AUDIENCE = 'https://api.example.com';
const SECRET = 'a secret of thirty-two characters';
const RESULTS = fileURLToPath(new URL('../../test/bench/kit.md', import.meta.url));

interface Comparison {
  kit(n: number): unknown;
  /** The same check by the library alone. */
  alone(n: number): unknown;
}

export const kit: Bench = async () => {
  const figures: Record<string, string> = {};
  for (const [name, contest] of Object.entries(await createComparisons())) figures[name] = await compare(contest);
  writeFileSync(RESULTS, toMarkdown(figures));
  return figures;
};

/** Measures both in turns, so that other load on the machine affects both. */
async function compare({ kit, alone }: Comparison): Promise<string> {
  const rounds: { kit: number; alone: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = round * CALLS;
    rounds.push({ kit: await cpuMicros(kit, from), alone: await cpuMicros(alone, from) });
  }
  rounds.shift(); // the first round warms up the compiler
  const perSecond = (pick: (round: { kit: number; alone: number }) => number) => 1_000_000 / median(rounds.map(pick));
  const [byKit, byLibrary] = [perSecond((round) => round.kit), perSecond((round) => round.alone)];
  const ratio = median(rounds.map((round) => round.alone / round.kit));
  const rounded = (n: number) => (Math.round(n / 100) * 100).toLocaleString('en');
  return `${(100 * ratio).toFixed(0)} % of the library alone (${rounded(byKit)} and ${rounded(byLibrary)} per core-second)`;
}

/** Returns the CPU time of one call in microseconds. Throws if a call is rejected. */
async function cpuMicros(call: (n: number) => unknown, from: number): Promise<number> {
  const begin = process.cpuUsage();
  for (let n = from; n < from + CALLS; n += 1) if (!(await call(n))) throw new Error('rejected');
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / CALLS;
}

async function createComparisons(): Promise<Record<string, Comparison>> {
  return {
    'an access token, beside jose': await accessToken(),
    'a session, beside jose': session(),
    'a DPoP proof, beside jose': await proof(),
    'an API key, beside Web Crypto': await apiKey(),
  };
}

async function accessToken(): Promise<Comparison> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }] };
  const claims = { sub: 'person-1', client_id: 'app-1', scope: 'ticket:read', jti: 'j' };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  const documents: Record<string, object> = {
    '/.well-known/openid-configuration': { issuer: ISSUER, jwks_uri: `${ISSUER}/oauth/jwks` },
    '/oauth/jwks': jwks,
  };
  const ask = async (url: string) => Response.json(documents[new URL(url).pathname]);
  const { verify } = createRemoteVerifier({ issuer: ISSUER, audience: AUDIENCE, fetch: ask as typeof fetch });
  const keys = createLocalJWKSet(jwks);
  const rules = { issuer: ISSUER, audience: AUDIENCE, typ: 'at+jwt', algorithms: ['ES256'] };
  return {
    kit: async () => (await verify(token)).isAuthenticated,
    alone: () => jwtVerify(token, keys, rules),
  };
}

function session(): Comparison {
  const token = signSession({ userId: 'user_123', email: 'alice@example.com', role: 'admin' }, SECRET);
  const key = new TextEncoder().encode(SECRET);
  return {
    kit: () => verifySession(token, SECRET),
    alone: () => jwtVerify(token, key, { algorithms: ['HS256'] }),
  };
}

async function proof(): Promise<Comparison> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(publicKey);
  const boundTo = await calculateJwkThumbprint(jwk);
  const url = `${AUDIENCE}/tickets`;
  const make = (n: number) =>
    new SignJWT({ htm: 'GET', htu: url, jti: `proof-${n}` })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(privateKey);
  const proofs: string[] = [];
  for (let n = 0; n < ROUNDS * CALLS; n += 1) proofs.push(await make(n));
  const replays = createMemoryReplayStore();
  const request = { method: 'GET', url, boundTo };
  return {
    kit: async (n) => (await verifyDpop(proofs[n]!, request, { replays, maxAgeSeconds: 300 })).ok,
    alone: (n) => jwtVerify(proofs[n]!, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'] }),
  };
}

async function apiKey(): Promise<Comparison> {
  const { key, hash } = generateApiKey();
  return {
    kit: () => verifyApiKey(key, hash),
    async alone() {
      const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key));
      return Buffer.from(digest).toString('hex') === hash;
    },
  };
}

function toMarkdown(figures: Record<string, string>): string {
  const rows = Object.entries(figures).map(([name, value]) => `| ${name} | ${value} |`);
  return `# The kit

Written by \`npm run bench -- kit\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}.

One check at a time on valid input, in turns with the same check by the library alone: ${ROUNDS - 1} rounds of ${CALLS.toLocaleString('en')} checks, the
median of each, CPU time by \`process.cpuUsage\`. Only the ratios are meaningful. Above 100 %, the kit hashes in JavaScript where the
library uses a thread.

| | |
| --- | --- |
${rows.join('\n')}
`;
}
