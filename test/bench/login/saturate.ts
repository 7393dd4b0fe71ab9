// Signs many users in concurrently, each from its own address, beside a client that requests a
// document.
import { setTimeout as sleep } from 'node:timers/promises';
import { openBase } from '../../../dist/base/base.js';
import { readConfig } from '../../../dist/base/config.js';
import { createLog } from '../../../dist/base/log.js';
import { systemMeta } from '../../../dist/base/request-meta.js';
import { createCore } from '../../../dist/core/core.js';
import { type Measured, measure, sendRequest } from '../oidc/measure.js';

const PASSWORD = 'correct horse battery';
const ACCOUNTS = 64; // more than are in flight, so that no account reaches a limit
const IN_FLIGHT = 32;
const PROBE_EVERY_MS = 10;
const DISCOVERY = '/.well-known/openid-configuration';

export interface Saturated extends Measured {
  perSecond: number;
}

/** Creates the accounts. Returns a password hash for the process that only computes bcrypt. */
export async function seed(environment: Record<string, string>): Promise<string> {
  const base = await openBase(readConfig(environment), { log: createLog('silent') });
  try {
    const { accounts, passwords } = await createCore(base);
    const passwordHash = await passwords.hash(PASSWORD, systemMeta);
    for (let n = 0; n < ACCOUNTS; n += 1) await accounts.create({ email: emailOf(n), passwordHash }, systemMeta);
    return passwordHash.slice(passwordHash.indexOf('$'));
  } finally {
    await base.close();
  }
}

/** Sends `requests` sign-ins, enough at a time to keep the server busy. */
export async function saturate({ origin, pid }: { origin: string; pid: number }, requests: number): Promise<Saturated> {
  let next = 0;
  const sendOne = () => logIn(origin, next++ % ACCOUNTS);
  const began = performance.now();
  const measured = await measure(pid, { requests, inFlight: IN_FLIGHT, sendOne });
  return { ...measured, perSecond: (requests * 1000) / (performance.now() - began) };
}

/**
 * Requests the discovery document periodically until `over` settles. Returns sorted response times.
 */
export async function probeUntil(over: Promise<unknown>, origin: string): Promise<number[]> {
  const times: number[] = [];
  let going = true;
  const stop = () => {
    going = false;
  };
  over.then(stop, stop);
  while (going) {
    const sent = performance.now();
    const { status } = await sendRequest(origin + DISCOVERY, ACCOUNTS);
    if (status !== 200) throw new Error(`discovery returned ${status}`);
    times.push(performance.now() - sent);
    await sleep(PROBE_EVERY_MS);
  }
  await over;
  return times.sort((a, b) => a - b);
}

async function logIn(origin: string, n: number): Promise<void> {
  const json = { username: emailOf(n), password: PASSWORD };
  const { status, body } = await sendRequest(`${origin}/api/v1/auth/login-json`, n, { json });
  if (status !== 200) throw new Error(`login returned ${status}: ${body}`);
}

const emailOf = (n: number) => `person${n}@example.com`;
