// Kills the compiled server repeatedly while users sign in and clients refresh. After each restart
// everything that was acknowledged is stored, and used codes and tokens stay used.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/crypto.js';
import { type Database, openDatabase } from '../../src/base/db/open.js';
import { Browser, type Page } from '../support/browser.js';
import {
  authorizeUrl,
  isActive,
  pkce,
  REDIRECT_URI,
  redeemCode,
  refresh,
  type TestClient,
} from '../support/relying-party.js';
import {
  killServers,
  type ServerProcess,
  startServerProcess,
  temporaryFolder,
  waitUntil,
} from '../support/server-process.js';
import { freePort } from '../support/store-servers.js';
import { type OpenStore, stores } from '../support/stores.js';

const PASSWORD = 'correct horse battery';
const SIGNING_IN = 2; // concurrent users
const REFRESHING = 2; // concurrent clients
const FIRST_FAMILIES = 6;
const LAST_KILL_MS = 160;
const EARLIER_BY_MS = 25; // each round is killed a little earlier, to hit every step
const KILLS = 20;
const KILLS_WITH_REDIS = 6; // grants and refresh tokens are in PostgreSQL there, too

/** One user and one client, and the responses that they received. */
interface Journey {
  email: string;
  /** Set after the 303 response: account created, signed in (how often), consent granted. */
  registeredAccount?: true;
  signedIn: number;
  consented?: true;
  /** The client, after a 201 response. */
  client?: TestClient & { managementToken: string };
  code?: { code: string; verifier: string };
  /** Whether the code was sent, with or without a response. */
  codeSent?: true;
  accessToken?: string;
  /** All issued tokens, the newest last. */
  refreshTokens: string[];
  /** Whether its tokens come from an earlier round. */
  age?: 'older';
  /** The request that got no response. */
  interruptedAt?: string;
}

let folder: ReturnType<typeof temporaryFolder>;
let data: OpenStore;
let db: Database;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  killServers();
  await db?.$disconnect();
  await data?.close();
  folder.remove();
});

describe.each(stores)('the server on $name', (store) => {
  const kills = store.name === 'PostgreSQL and Redis' ? KILLS_WITH_REDIS : KILLS;

  test(`loses no acknowledged write and accepts no code or token twice when it is killed ${kills} times`, async () => {
    data = await store.open();
    db = await openDatabase(data.databaseUrl);
    const settings = await settingsFor(data);
    const all: Journey[] = [];
    const survivors: Journey[] = [];

    let server = await startServerProcess(settings);
    for (let round = 0; round < kills; round += 1) {
      const journeys = await runUntilKilled(server, round, LAST_KILL_MS + EARLIER_BY_MS * (kills - round), survivors);
      all.push(...journeys);
      server = await startServerProcess(settings);
      await Promise.all(journeys.map((journey, n) => continueSignIn(server, journey, n, survivors)));
      await expectOneActiveTokenPerFamily();
      await expectAuditEvents(journeys);
    }

    await expectAuditEvents(all);
    server.kill('SIGKILL');
    await server.ended;
    await expectReuseDetection(
      await startServerProcess({ ...settings, REFRESH_TOKEN_REUSE_INTERVAL: '0s' }),
      survivors,
    );
    const interrupted = all.map(({ interruptedAt }) => interruptedAt).filter((step) => step !== undefined);
    expect(interrupted).toHaveLength(kills * (SIGNING_IN + REFRESHING));
    expect(interrupted).toContain('refresh');
    expect(new Set(interrupted).size).toBeGreaterThan(kills / 6); // the steps differ
    expect(survivors.length).toBeGreaterThanOrEqual(REFRESHING);
  }, 140_000);
});

async function settingsFor({ databaseUrl, redisUrl, redisPrefix }: OpenStore): Promise<Record<string, string>> {
  return {
    DATA_DIR: folder.path,
    PORT: String(await freePort()), // the same after each restart
    NODE_ENV: 'test',
    PASSWORD_HASH_COST: '4',
    SECRET: 'a secret of the tests that is long enough',
    DATABASE_URL: databaseUrl,
    ...(redisUrl && { REDIS_URL: redisUrl, REDIS_PREFIX: redisPrefix! }),
    REFRESH_TOKEN_REUSE_INTERVAL: '5m',
    TRUSTED_PROXIES: '127.0.0.0/8,::1',
  };
}

/** Users sign up, and clients refresh tokens of earlier rounds, until the server is killed. */
async function runUntilKilled(
  server: ServerProcess,
  round: number,
  afterMs: number,
  survivors: Journey[],
): Promise<Journey[]> {
  const journeys: Journey[] = [];
  const signingIn = Array.from({ length: SIGNING_IN }, (_, actor) => completeSignIn(actor));
  const refreshing = Array.from({ length: REFRESHING }, (_, n) => {
    const known = survivors.shift();
    return known ? refreshAgain(known) : completeSignIn(SIGNING_IN + n);
  });
  if (round === 0)
    await waitUntil('some clients have tokens', () => journeys.filter(hasTokens).length >= FIRST_FAMILIES, 20_000);
  else await sleep(afterMs);
  server.kill('SIGKILL');
  await Promise.all([...signingIn, ...refreshing]);
  expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' });
  return journeys;

  /** One user, who signs in to one new client after the other. */
  async function completeSignIn(actor: number): Promise<void> {
    const browser = new Browser(server.origin);
    for (let n = 0; ; n += 1) {
      const journey: Journey = { email: `p${round}.${actor}@example.com`, signedIn: 0, refreshTokens: [] };
      journeys.push(journey);
      await runJourney(server, browser, journey, {
        address: `10.${round}.${actor}.${n}`,
        isNew: n === 0,
        refreshes: n % 4,
      });
      if (journey.interruptedAt) return;
    }
  }

  async function refreshAgain(known: Journey): Promise<void> {
    const journey: Journey = {
      ...known,
      refreshTokens: [...known.refreshTokens],
      age: 'older',
      interruptedAt: undefined,
    };
    journeys.push(journey);
    while (await runStep(journey, 'refresh', () => refreshLast(server, journey)));
  }
}

/** Returns false if the server was killed meanwhile. */
async function runStep(journey: Journey, step: string, run: () => Promise<void>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (!isBroken(error)) throw error;
    journey.interruptedAt = step;
    return false;
  }
}

async function refreshLast(server: ServerProcess, journey: Journey): Promise<void> {
  keep(journey, await refresh(server, journey.client!, journey.refreshTokens.at(-1)!));
}

/**
 * Runs a journey from the registration of the client to a number of refreshes, or until the server
 * is killed. Any unexpected response fails the test.
 */
async function runJourney(
  server: ServerProcess,
  browser: Browser,
  journey: Journey,
  { address, isNew, refreshes }: { address: string; isNew: boolean; refreshes: number },
): Promise<void> {
  const { email } = journey;
  const { verifier, challenge } = pkce();
  browser.headers['x-forwarded-for'] = address;
  browser.onResponse = (method, { pathname }, status) => {
    if (method !== 'POST' || status !== 303) return;
    if (pathname === '/register') journey.registeredAccount = true;
    if (pathname === '/register' || pathname === '/login') journey.signedIn += 1;
    if (pathname.startsWith('/interaction/')) journey.consented = true;
  };
  let page: Page;

  const steps: [string, () => Promise<void>][] = [
    ['register the client', registerApp],
    ...(isNew ? ([['create an account', createAccount]] as [string, () => Promise<void>][]) : []),
    ['authorize', authorize],
    ...(isNew ? ([['sign in', signIn]] as [string, () => Promise<void>][]) : []),
    ['consent', consent],
    ['redeem', exchangeCode],
    ...Array.from({ length: refreshes }, (): [string, () => Promise<void>] => [
      'refresh',
      () => refreshLast(server, journey),
    ]),
  ];
  for (const [name, run] of steps) {
    if (!(await runStep(journey, name, run))) return;
  }

  async function registerApp(): Promise<void> {
    journey.client = await registerClient(server, address);
  }

  async function createAccount(): Promise<void> {
    await browser.submit(await browser.open('/register'), { email, password: PASSWORD, name: 'Jane' });
    browser.cookies.clear();
  }

  async function authorize(): Promise<void> {
    page = await browser.open(authorizeUrl(server, journey.client!, challenge));
  }

  async function signIn(): Promise<void> {
    page = await browser.signIn(email, PASSWORD, page);
  }

  async function consent(): Promise<void> {
    const { url, status } = await browser.submit(page, { decision: 'allow' });
    const code = url.searchParams.get('code');
    if (!code) throw new Error(`no code: ${status} ${url}`);
    journey.code = { code, verifier };
  }

  async function exchangeCode(): Promise<void> {
    journey.codeSent = true;
    keep(journey, await redeemCode(server, journey.client!, journey.code!));
  }
}

/**
 * Checks a journey after the restart: everything acknowledged is stored, interrupted requests can
 * be repeated, used codes and tokens cannot.
 */
async function continueSignIn(server: ServerProcess, journey: Journey, n: number, survivors: Journey[]): Promise<void> {
  const { client, code, codeSent, accessToken, refreshTokens } = journey;
  if (!client) return;
  const own = await fetch(`${server.origin}/oauth/clients/register/${client.id}`, {
    headers: { authorization: `Bearer ${client.managementToken}` },
  });
  expect(own.status).toBe(200);
  if (!code) return;

  if (!codeSent) {
    keep(journey, await redeemCode(server, client, code));
  } else if (refreshTokens.length === 0) {
    // The code may have been consumed: it works now, or never, and no token was issued from it.
    const response = await redeemCode(server, client, code);
    if (response.status !== 200) return expectRevoked(client, response);
    keep(journey, response);
  } else {
    expect(await isActive(server, accessToken!)).toBe(true);
    const reused = survivors.length < REFRESHING ? undefined : selectReused(journey, n);
    if (reused) {
      // Consumed, and its tokens were used: reusing the code revokes the family.
      const response =
        reused === 'code' ? await redeemCode(server, client, code) : await refresh(server, client, reused);
      await expectRevoked(client, response);
      expect((await refresh(server, client, refreshTokens.at(-1)!)).status).toBe(400);
      expect(await isActive(server, accessToken!)).toBe(false);
      return;
    }
    // Whether the response was lost or the request never sent: the last issued token works.
    await refreshLast(server, journey);
  }
  expect(await isActive(server, journey.accessToken!)).toBe(true);
  const active = await db.refreshToken.findMany({ where: { grant: { clientId: client.id }, consumedAt: null } });
  expect(active.map(({ id }) => id)).toEqual([sha256(journey.refreshTokens.at(-1)!)]);
  survivors.push(journey);
}

/**
 * Selects what is reused in some families: the code, which is valid for a minute, or a refresh
 * token that was replaced twice.
 */
function selectReused({ age, refreshTokens }: Journey, n: number): string | undefined {
  if (n === 3) return refreshTokens.at(-3);
  return n % 5 === 4 && age !== 'older' ? 'code' : undefined;
}

/** Without a reuse interval, every used token revokes its family, however old it is. */
async function expectReuseDetection(server: ServerProcess, survivors: Journey[]): Promise<void> {
  for (const [n, { client, accessToken, refreshTokens }] of survivors.entries()) {
    expect(await isActive(server, accessToken!)).toBe(true); // it survived all kills
    let last = refreshTokens.at(-1)!;
    let used = refreshTokens.at(-2);
    if (!used || n % 2 === 0) {
      const response = await refresh(server, client!, last);
      expect(response.status).toBe(200);
      [used, last] = [last, response.body.refresh_token!];
    }
    await expectRevoked(client!, await refresh(server, client!, used));
    expect((await refresh(server, client!, last)).status).toBe(400);
  }
}

async function expectRevoked(
  client: TestClient,
  { status, body }: { status: number; body: Record<string, unknown> },
): Promise<void> {
  expect([status, body.error]).toEqual([400, 'invalid_grant']);
  expect(await db.grant.count({ where: { clientId: client.id } })).toBe(0); // deleted together with its refresh tokens
}

/** Checks that no family has two active refresh tokens. */
async function expectOneActiveTokenPerFamily(): Promise<void> {
  const active = await db.refreshToken.findMany({ where: { consumedAt: null }, select: { grantId: true } });
  expect(new Set(active.map(({ grantId }) => grantId)).size).toBe(active.length);
}

/** Checks that every acknowledged action is in the audit log. */
async function expectAuditEvents(journeys: Journey[]): Promise<void> {
  const clients = new Set((await db.client.findMany({ select: { id: true } })).map(({ id }) => id));
  const accounts = new Map(
    (await db.account.findMany({ select: { id: true, email: true } })).map(({ id, email }) => [email, id]),
  );
  const actions = ['client.registered', 'account.created', 'sign_in.succeeded', 'consent.granted'];
  const events = new Map<string, number>();
  for (const { action, accountId, clientId } of await db.auditEvent.findMany({ where: { action: { in: actions } } })) {
    const subject =
      { 'client.registered': clientId, 'consent.granted': `${accountId} ${clientId}` }[action] ?? accountId;
    const key = `${action} ${subject}`;
    events.set(key, (events.get(key) ?? 0) + 1);
  }
  for (const { email, client, registeredAccount, signedIn, consented } of journeys) {
    const accountId = accounts.get(email);
    const found = {
      client: !client || clients.has(client.id),
      'client.registered': client ? events.get(`client.registered ${client.id}`) : 1,
      account: !registeredAccount || accountId !== undefined,
      'account.created': registeredAccount ? events.get(`account.created ${accountId}`) : 1,
      'sign_in.succeeded': (events.get(`sign_in.succeeded ${accountId}`) ?? 0) >= signedIn,
      'consent.granted': consented ? events.get(`consent.granted ${accountId} ${client?.id}`) : 1,
    };
    expect({ email, ...found }).toEqual({
      email,
      client: true,
      'client.registered': 1,
      account: true,
      'account.created': 1,
      'sign_in.succeeded': true,
      'consent.granted': 1,
    });
  }
}

const hasTokens = ({ refreshTokens }: Journey) => refreshTokens.length > 0;

function keep(journey: Journey, { status, body }: { status: number; body: Record<string, unknown> }): void {
  expect([status, body.error]).toEqual([200, undefined]);
  journey.accessToken = body.access_token as string;
  journey.refreshTokens.push(body.refresh_token as string);
}

async function registerClient({ origin }: ServerProcess, address: string) {
  const response = await fetch(`${origin}/oauth/clients/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': address },
    body: JSON.stringify({
      client_name: 'Acme',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
    }),
  });
  const body = (await response.json()) as Record<string, string>;
  if (response.status !== 201) throw new Error(`${response.status}: ${JSON.stringify(body)}`);
  return { id: body.client_id!, secret: body.client_secret!, managementToken: body.registration_access_token! };
}

/** Reports whether the connection broke before or during the response. */
function isBroken(error: unknown): boolean {
  if (error instanceof TypeError) return /fetch failed|terminated/.test(error.message);
  return ['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
}
