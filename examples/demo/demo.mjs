// `npm run demo`: Signet, a third-party app with a "Sign in" button, and an API that the app calls for the person.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startApi } from './api.mjs';
import { startApp } from './app.mjs';

const ISSUER = 'http://localhost:3000';
const APP = 'http://localhost:3001';
const API = 'http://localhost:3002';
const PERSON = { email: 'ada@example.com', password: 'a demo needs no secret' };

const signet = spawn(process.execPath, ['dist/main.js'], {
  env: {
    ...process.env,
    PORT: '3000',
    ISSUER,
    DATA_DIR: './data/demo',
    LOG_LEVEL: 'warn',
    BOOTSTRAP_ADMIN_EMAIL: PERSON.email,
    BOOTSTRAP_ADMIN_PASSWORD: PERSON.password,
  },
  stdio: 'inherit',
});
signet.once('exit', (code) => process.exit(code ?? 0));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => signet.kill(signal));

await untilReady(`${ISSUER}/readyz`);
await startApi({ issuer: ISSUER, url: API });
await startApp({ issuer: ISSUER, url: APP, api: API });

console.log(`
Open   ${APP}   and sign in.

  e-mail    ${PERSON.email}
  password  ${PERSON.password}      (or make an account of your own)

You will be asked what the app may know and do. Afterwards ${ISSUER}/account shows what you allowed,
and lets you take it back. Stop with Ctrl-C; ./data/demo can be deleted.
`);

async function untilReady(url) {
  for (let i = 0; i < 150; i += 1) {
    if (await fetch(url).then((response) => response.ok, () => false)) return; // biome-ignore format: one question
    await sleep(100);
  }
  throw new Error(`${url} did not answer within 15 seconds`);
}
