// Signet for the examples: a server of their own with a person who can sign in, and a client for
// whoever has none yet.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const ISSUER = 'http://localhost:3000';
export const PERSON = { email: 'ada@example.com', password: 'a demo needs no secret' };

const READY_TRIES = 150;
const READY_EVERY_MS = 100;

/**
 * Starts it, and ends with it; both end on SIGINT and SIGTERM. Its data lies in ./data/demo and can
 * be deleted.
 *
 * @param ports what else will listen on this machine: nothing starts unless all of it can
 */
export async function startSignet(ports = []) {
  const taken = await whichAreTaken([Number(new URL(ISSUER).port), ...ports]);
  if (taken.length > 0) {
    const words = taken.length > 1 ? ['Ports', 'are'] : ['Port', 'is'];
    console.error(`${words[0]} ${taken.join(' and ')} ${words[1]} taken. Stop what listens there, and start again.`);
    process.exit(1);
  }
  const signet = spawn(process.execPath, ['dist/main.js'], { env: demoEnvironment(), stdio: 'inherit' });
  signet.once('exit', (code) => process.exit(code ?? 0));
  process.once('exit', () => signet.kill());
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => signet.kill(signal));
  await untilReady(`${ISSUER}/readyz`);
}

async function whichAreTaken(ports) {
  const isFree = (port) =>
    new Promise((resolve) => {
      const probe = createServer().once('error', () => resolve(false));
      probe.listen(port, () => probe.close(() => resolve(true)));
    });
  const free = await Promise.all(ports.map(isFree));
  return ports.filter((_port, n) => !free[n]);
}

/** The settings of this server, for its command line as well. */
export function demoEnvironment() {
  return {
    ...process.env,
    PORT: '3000',
    ISSUER,
    DATA_DIR: './data/demo',
    LOG_LEVEL: 'warn',
    BOOTSTRAP_ADMIN_EMAIL: PERSON.email,
    BOOTSTRAP_ADMIN_PASSWORD: PERSON.password,
  };
}

/**
 * Registers an app (RFC 7591), as anybody may: an example has no secret of its own to start with.
 */
export async function register(issuer, metadata) {
  const answer = await fetch(`${issuer}/oauth/clients/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ scope: 'openid profile email', ...metadata }),
  });
  const client = await answer.json();
  if (answer.status !== 201) throw new Error(`${client.error}: ${client.error_description}`);
  return client;
}

export async function untilReady(url) {
  for (let tries = 0; tries < READY_TRIES; tries += 1) {
    if (await fetch(url).then((response) => response.ok, () => false)) return; // biome-ignore format: one question
    await sleep(READY_EVERY_MS);
  }
  throw new Error(`${url} does not answer`);
}
