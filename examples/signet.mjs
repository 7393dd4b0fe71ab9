// Signet for the examples: a separate server with a user who can sign in, and the registration of
// clients.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const ISSUER = 'http://localhost:3000';
export const USER = { email: 'ada@example.com', password: 'a demo needs no secret' };

const READY_TRIES = 150;
const READY_EVERY_MS = 100;

/**
 * Starts Signet, with its data in ./data/demo, which can be deleted. This process exits when Signet
 * does, and SIGINT and SIGTERM stop both.
 *
 * @param ports other ports that the example needs; nothing starts unless all of them are free
 */
export async function startSignet(ports = []) {
  const taken = await findTakenPorts([Number(new URL(ISSUER).port), ...ports]);
  if (taken.length > 0) {
    const words = taken.length > 1 ? ['Ports', 'are'] : ['Port', 'is'];
    console.error(
      `${words[0]} ${taken.join(' and ')} ${words[1]} in use. Stop the programs that use them, and start again.`,
    );
    process.exit(1);
  }
  const signet = spawn(process.execPath, ['dist/main.js'], { env: demoEnvironment(), stdio: 'inherit' });
  signet.once('exit', (code) => process.exit(code ?? 0));
  process.once('exit', () => signet.kill());
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => signet.kill(signal));
  await untilReady(`${ISSUER}/readyz`);
}

async function findTakenPorts(ports) {
  const isFree = (port) =>
    new Promise((resolve) => {
      const probe = createServer().once('error', () => resolve(false));
      probe.listen(port, () => probe.close(() => resolve(true)));
    });
  const free = await Promise.all(ports.map(isFree));
  return ports.filter((_port, n) => !free[n]);
}

/** The settings of this server, also for its command line. */
export function demoEnvironment() {
  return {
    ...process.env,
    PORT: '3000',
    ISSUER,
    DATA_DIR: './data/demo',
    LOG_LEVEL: 'warn',
    BOOTSTRAP_ADMIN_EMAIL: USER.email,
    BOOTSTRAP_ADMIN_PASSWORD: USER.password,
  };
}

/** Registers a client dynamically (RFC 7591), so that the examples need no configuration. */
export async function register(issuer, metadata) {
  const response = await fetch(`${issuer}/oauth/clients/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ scope: 'openid profile email', ...metadata }),
  });
  const client = await response.json();
  if (response.status !== 201) throw new Error(`${client.error}: ${client.error_description}`);
  return client;
}

/** Waits until a URL responds with success. */
export async function untilReady(url) {
  for (let tries = 0; tries < READY_TRIES; tries += 1) {
    if (await fetch(url).then((response) => response.ok, () => false)) return; // biome-ignore format: one condition
    await sleep(READY_EVERY_MS);
  }
  throw new Error(`${url} does not respond`);
}
