// What is compared: each case prepares what it needs on either side, outside of the measured time.
import { createHash, randomBytes } from 'node:crypto';
import { Browser, type Page } from '../../support/browser.js';
import { ask, type Once } from './measure.js';
import { EMAIL, PASSWORD, REDIRECT_URI, type Side, type SideName } from './sides.js';

export interface Case {
  name: string;
  /** The argument that selects it: `npm run bench -- <word>`. Several cases can share one. */
  word: string;
  /** The highest accepted cost, as a multiple of the bare provider's. */
  aim: number;
  bare: SideName;
  ours: SideName;
  requests: number;
  inFlight: number;
  /**
   * Signs people in and the like, for so many workers; what it returns is called before each round.
   */
  prepare(side: Side, workers: number): Promise<(requests: number) => Promise<Once>>;
}

const OUR_AIM = 1.25;
const onRedis = { bare: 'bareOnRedis', ours: 'oursOnBoth', aim: OUR_AIM } as const;

export const CASES: Case[] = [
  {
    name: 'discovery',
    word: 'discovery',
    ...onRedis,
    aim: 0.5,
    requests: 15000,
    inFlight: 32,
    prepare: get('discovery'),
  },
  { name: 'jwks', word: 'jwks', ...onRedis, aim: 0.5, requests: 15000, inFlight: 32, prepare: get('jwks') },
  {
    name: 'client credentials, opaque',
    word: 'client-credentials',
    ...onRedis,
    requests: 9000,
    inFlight: 32,
    prepare: async (side) => always(async (worker) => void (await token(side, worker, CLIENT_CREDENTIALS))),
  },
  {
    name: 'client credentials, ES256 JWT',
    word: 'client-credentials',
    ...onRedis,
    requests: 9000,
    inFlight: 32,
    async prepare(side) {
      const form = { ...CLIENT_CREDENTIALS, resource: side.resource, scope: 'memory:read' };
      return always(async (worker) => void (await token(side, worker, form)));
    },
  },
  { name: 'code (redeem)', word: 'code', ...onRedis, requests: 400, inFlight: 16, prepare: redeemed },
  { name: 'repeat sign-in', word: 'repeat-sign-in', ...onRedis, requests: 500, inFlight: 16, prepare: signedInAgain },
  { name: 'refresh', word: 'refresh', ...onRedis, aim: 2.5, requests: 800, inFlight: 16, prepare: refreshed },
  {
    name: 'refresh, beside bare on PostgreSQL',
    word: 'refresh',
    bare: 'bareOnPostgresql',
    ours: 'oursOnBoth',
    aim: 1,
    requests: 800,
    inFlight: 16,
    prepare: refreshed,
  },
  {
    name: 'refresh, both on PostgreSQL alone',
    word: 'refresh',
    bare: 'bareOnPostgresql',
    ours: 'oursOnPostgresql',
    aim: 1,
    requests: 800,
    inFlight: 16,
    prepare: refreshed,
  },
  { name: 'userinfo', word: 'userinfo', ...onRedis, requests: 9000, inFlight: 32, prepare: userinfoAsked },
  { name: 'introspection', word: 'introspect', ...onRedis, requests: 7500, inFlight: 32, prepare: introspected },
];

const CLIENT_CREDENTIALS = { grant_type: 'client_credentials' };

const MOST_VISITORS = 16;
const signedIn = new WeakMap<Side, Promise<string>[]>();

const always = (once: Once) => async () => once;

function get(path: 'discovery' | 'jwks'): Case['prepare'] {
  return async (side) =>
    always(async (worker) => {
      const { status } = await ask(side.origin + side.paths[path], worker);
      if (status !== 200) throw new Error(`${path} answers ${status}`);
    });
}

async function redeemed(side: Side, workers: number) {
  const visitors = await signInMany(side, workers);
  return async (requests: number): Promise<Once> => {
    const codes: Code[] = [];
    await Promise.all(
      visitors.map(async (visitor, worker) => {
        for (let n = worker; n < requests; n += workers) codes.push(await obtainCode(side, visitor, worker));
      }),
    );
    return async (worker) => void (await redeem(side, worker, codes.pop()!));
  };
}

async function signedInAgain(side: Side, workers: number) {
  const visitors = await signInMany(side, workers);
  return always(async (worker) => void (await obtainCode(side, visitors[worker]!, worker)));
}

async function refreshed(side: Side, workers: number) {
  const visitors = await signInMany(side, workers);
  const tokens = await Promise.all(
    visitors.map(
      async (visitor, worker) => (await redeem(side, worker, await obtainCode(side, visitor, worker))).refresh_token,
    ),
  );
  return always(async (worker) => {
    const form = { grant_type: 'refresh_token', refresh_token: tokens[worker]! };
    tokens[worker] = (await token(side, worker, form)).refresh_token!;
  });
}

async function userinfoAsked(side: Side) {
  const headers = { authorization: `Bearer ${await accessToken(side)}` };
  return always(async (worker) => {
    const { status, body } = await ask(side.origin + side.paths.userinfo, worker, { headers });
    if (status !== 200 || !body.includes(EMAIL)) throw new Error(`userinfo answers ${status}: ${body}`);
  });
}

async function introspected(side: Side) {
  const form = { token: await accessToken(side) };
  const headers = { authorization: side.authorization };
  return always(async (worker) => {
    const { status, body } = await ask(side.origin + side.paths.introspection, worker, { headers, form });
    if (status !== 200 || !body.includes('"active":true')) throw new Error(`introspection answers ${status}: ${body}`);
  });
}

async function accessToken(side: Side): Promise<string> {
  const [visitor] = await signInMany(side, 1);
  return (await redeem(side, 0, await obtainCode(side, visitor!, 0))).access_token!;
}

interface Code {
  code: string;
  verifier: string;
}

/**
 * Browsers of people who are signed in and have consented, by their cookies. Each server sees them
 * once.
 */
function signInMany(side: Side, workers: number): Promise<string[]> {
  const here = signedIn.get(side) ?? Array.from({ length: MOST_VISITORS }, (_, worker) => signIn(side, worker));
  signedIn.set(side, here);
  return Promise.all(here.slice(0, workers));
}

async function signIn(side: Side, worker: number): Promise<string> {
  const browser = new Browser(side.origin);
  browser.headers['x-forwarded-for'] = `10.1.0.${worker}`;
  let page: Page = await browser.open(authorizeUrl(side).url);
  for (let step = 0; step < 4 && page.url.origin === side.origin && page.status === 200; step += 1) {
    page =
      page.url.pathname === '/login'
        ? await browser.signIn(EMAIL, PASSWORD, page)
        : await browser.submit(page, { decision: 'allow' });
  }
  if (!page.url.searchParams.get('code')) throw new Error(`no sign-in: ${page.status} ${page.url} ${page.html}`);
  const cookies = [...browser.cookies].filter(([, { path }]) => path === '/');
  return cookies.map(([name, { value }]) => `${name}=${value}`).join('; ');
}

function authorizeUrl(side: Side) {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: side.clientId,
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email',
    state: 'state-1',
    nonce: 'nonce-1',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  return { url: `${side.origin}${side.paths.authorization}?${query}`, verifier };
}

async function obtainCode(side: Side, cookie: string, worker: number): Promise<Code> {
  const { url, verifier } = authorizeUrl(side);
  const { status, headers, body } = await ask(url, worker, { headers: { cookie, accept: 'text/html' } });
  const code = URL.parse(headers.location ?? '')?.searchParams.get('code');
  if (!code) throw new Error(`no code: ${status} ${headers.location} ${body}`);
  return { code, verifier };
}

function redeem(side: Side, worker: number, { code, verifier }: Code) {
  return token(side, worker, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
  });
}

async function token(side: Side, worker: number, form: Record<string, string>) {
  const headers = { authorization: side.authorization };
  const { status, body } = await ask(side.origin + side.paths.token, worker, { headers, form });
  if (status !== 200) throw new Error(`the token endpoint answers ${status}: ${body}`);
  return JSON.parse(body) as { access_token?: string; refresh_token?: string };
}
