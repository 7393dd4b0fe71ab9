// The compared cases. Each prepares what it needs on both sides, outside of the measured time.
import { createHash, randomBytes } from 'node:crypto';
import { Browser, type Page } from '../../support/browser.js';
import { type SendOne, sendRequest } from './measure.js';
import { EMAIL, PASSWORD, REDIRECT_URI, type Side, type SideName } from './sides.js';

export interface Case {
  name: string;
  /** Selects the case: `npm run bench -- <argument>`. Several cases can share one. */
  argument: string;
  /** The highest accepted cost, as a multiple of the bare provider's. */
  aim: number;
  bare: SideName;
  signet: SideName;
  requests: number;
  inFlight: number;
  /**
   * Prepares the side for this number of workers, for example signs users in. The returned function
   * prepares a round.
   */
  prepare(side: Side, workers: number): Promise<(requests: number) => Promise<SendOne>>;
}

const DEFAULT_AIM = 1.25;
const onRedis = { bare: 'bareOnRedis', signet: 'signetOnBoth', aim: DEFAULT_AIM } as const;

export const CASES: Case[] = [
  {
    name: 'discovery',
    argument: 'discovery',
    ...onRedis,
    aim: 0.5,
    requests: 15000,
    inFlight: 32,
    prepare: prepareDocument('discovery'),
  },
  {
    name: 'jwks',
    argument: 'jwks',
    ...onRedis,
    aim: 0.5,
    requests: 15000,
    inFlight: 32,
    prepare: prepareDocument('jwks'),
  },
  {
    name: 'client credentials, opaque',
    argument: 'client-credentials',
    ...onRedis,
    requests: 9000,
    inFlight: 32,
    prepare: async (side) =>
      sameInEveryRound(async (worker) => void (await requestToken(side, worker, CLIENT_CREDENTIALS))),
  },
  {
    name: 'client credentials, ES256 JWT',
    argument: 'client-credentials',
    ...onRedis,
    requests: 9000,
    inFlight: 32,
    async prepare(side) {
      const form = { ...CLIENT_CREDENTIALS, resource: side.resource, scope: 'memory:read' };
      return sameInEveryRound(async (worker) => void (await requestToken(side, worker, form)));
    },
  },
  { name: 'code (redeem)', argument: 'code', ...onRedis, requests: 400, inFlight: 16, prepare: prepareRedemption },
  {
    name: 'repeat sign-in',
    argument: 'repeat-sign-in',
    ...onRedis,
    requests: 500,
    inFlight: 16,
    prepare: prepareRepeatSignIn,
  },
  { name: 'refresh', argument: 'refresh', ...onRedis, aim: 2.5, requests: 800, inFlight: 16, prepare: prepareRefresh },
  {
    name: 'refresh, beside bare on PostgreSQL',
    argument: 'refresh',
    bare: 'bareOnPostgresql',
    signet: 'signetOnBoth',
    aim: 1,
    requests: 800,
    inFlight: 16,
    prepare: prepareRefresh,
  },
  {
    name: 'refresh, both on PostgreSQL alone',
    argument: 'refresh',
    bare: 'bareOnPostgresql',
    signet: 'signetOnPostgresql',
    aim: 1,
    requests: 800,
    inFlight: 16,
    prepare: prepareRefresh,
  },
  { name: 'userinfo', argument: 'userinfo', ...onRedis, requests: 9000, inFlight: 32, prepare: prepareUserinfo },
  {
    name: 'introspection',
    argument: 'introspect',
    ...onRedis,
    requests: 7500,
    inFlight: 32,
    prepare: prepareIntrospection,
  },
];

const CLIENT_CREDENTIALS = { grant_type: 'client_credentials' };

const MAX_BROWSERS = 16;
const signedInBrowsers = new WeakMap<Side, Promise<string>[]>();

const sameInEveryRound = (once: SendOne) => async () => once;

function prepareDocument(path: 'discovery' | 'jwks'): Case['prepare'] {
  return async (side) =>
    sameInEveryRound(async (worker) => {
      const { status } = await sendRequest(side.origin + side.paths[path], worker);
      if (status !== 200) throw new Error(`${path} returned ${status}`);
    });
}

async function prepareRedemption(side: Side, workers: number) {
  const cookies = await signInBrowsers(side, workers);
  return async (requests: number): Promise<SendOne> => {
    const codes: Code[] = [];
    await Promise.all(
      cookies.map(async (cookie, worker) => {
        for (let n = worker; n < requests; n += workers) codes.push(await obtainCode(side, cookie, worker));
      }),
    );
    return async (worker) => void (await redeemCode(side, worker, codes.pop()!));
  };
}

async function prepareRepeatSignIn(side: Side, workers: number) {
  const cookies = await signInBrowsers(side, workers);
  return sameInEveryRound(async (worker) => void (await obtainCode(side, cookies[worker]!, worker)));
}

async function prepareRefresh(side: Side, workers: number) {
  const cookies = await signInBrowsers(side, workers);
  const tokens = await Promise.all(
    cookies.map(
      async (cookie, worker) => (await redeemCode(side, worker, await obtainCode(side, cookie, worker))).refresh_token,
    ),
  );
  return sameInEveryRound(async (worker) => {
    const form = { grant_type: 'refresh_token', refresh_token: tokens[worker]! };
    tokens[worker] = (await requestToken(side, worker, form)).refresh_token!;
  });
}

async function prepareUserinfo(side: Side) {
  const headers = { authorization: `Bearer ${await accessToken(side)}` };
  return sameInEveryRound(async (worker) => {
    const { status, body } = await sendRequest(side.origin + side.paths.userinfo, worker, { headers });
    if (status !== 200 || !body.includes(EMAIL)) throw new Error(`userinfo returned ${status}: ${body}`);
  });
}

async function prepareIntrospection(side: Side) {
  const form = { token: await accessToken(side) };
  const headers = { authorization: side.authorization };
  return sameInEveryRound(async (worker) => {
    const { status, body } = await sendRequest(side.origin + side.paths.introspection, worker, { headers, form });
    if (status !== 200 || !body.includes('"active":true')) throw new Error(`introspection returned ${status}: ${body}`);
  });
}

async function accessToken(side: Side): Promise<string> {
  const [cookie] = await signInBrowsers(side, 1);
  return (await redeemCode(side, 0, await obtainCode(side, cookie!, 0))).access_token!;
}

interface Code {
  code: string;
  verifier: string;
}

/** Signs users in and consents, once for each side. Returns their cookies. */
function signInBrowsers(side: Side, workers: number): Promise<string[]> {
  const here = signedInBrowsers.get(side) ?? Array.from({ length: MAX_BROWSERS }, (_, worker) => signIn(side, worker));
  signedInBrowsers.set(side, here);
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
  const { status, headers, body } = await sendRequest(url, worker, { headers: { cookie, accept: 'text/html' } });
  const code = URL.parse(headers.location ?? '')?.searchParams.get('code');
  if (!code) throw new Error(`no code: ${status} ${headers.location} ${body}`);
  return { code, verifier };
}

function redeemCode(side: Side, worker: number, { code, verifier }: Code) {
  return requestToken(side, worker, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
  });
}

async function requestToken(side: Side, worker: number, form: Record<string, string>) {
  const headers = { authorization: side.authorization };
  const { status, body } = await sendRequest(side.origin + side.paths.token, worker, { headers, form });
  if (status !== 200) throw new Error(`the token endpoint returned ${status}: ${body}`);
  return JSON.parse(body) as { access_token?: string; refresh_token?: string };
}
