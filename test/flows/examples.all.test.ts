// The examples, each as its reader starts it, beside a house: somebody signs in, and the app says who it is.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Browser as Chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { launchChromium, openContext } from '../support/chromium.js';
import { type House, openHouse, PASSWORD } from '../support/house.js';
import { browserFor, walk } from '../support/openid-client.js';
import { freePort } from '../support/store-servers.js';

const running = new Set<ChildProcess>();

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(() => house.close());

/** Starts an example and waits until it says where it listens. */
async function start(file: string): Promise<{ origin: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`../../examples/${file}`, import.meta.url))], {
    env: { PATH: process.env.PATH, ISSUER: house.issuer, PORT: String(await freePort()) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let said = '';
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        said += text;
        const origin = /listening on (\S+)/.exec(said)?.[1];
        if (origin) resolve({ origin });
      });
    }
    child.once('exit', () => reject(new Error(`the example ended: ${said}`)));
  });
}

describe('an example', () => {
  it('on Passport says who signed in, and forgets them again', async () => {
    const { email } = await house.account();
    const { origin } = await start('passport/app.mjs');
    const visitor = new Browser(origin);
    expect((await visitor.open('/')).html).toContain('Sign in');
    const back = await walk(browserFor(house), (await visitor.open('/login')).url, email);
    expect((await visitor.open(back.url)).html).toContain(`Hello ${email}`);
    expect((await visitor.open('/logout')).html).toContain('Sign in');
  });

  it('on Auth.js says who signed in', async () => {
    const { email } = await house.account();
    const { origin } = await start('auth-js/app.mjs');
    const visitor = new Browser(origin);
    const away = await visitor.submit(await visitor.open('/auth/signin'));
    expect(away.url.origin).toBe(house.origin);
    const back = await walk(browserFor(house), away.url, email);
    await visitor.open(back.url);
    expect((await visitor.open('/')).html).toContain(`Hello ${email}`);
  });

  describe('in the browser', () => {
    let chromium: Chromium;
    beforeAll(async () => {
      chromium = await launchChromium();
    });
    afterAll(() => chromium?.close());

    it('signs in with PKCE alone, says who it is, and signs out', async () => {
      const { email } = await house.account();
      const { origin } = await start('spa/server.mjs');
      const { context, complaints } = await openContext(chromium);
      const page = await context.newPage();
      await page.goto(origin);
      await page.click('#sign-in');
      await page.fill('input[type=email]', email);
      await page.fill('input[type=password]', PASSWORD);
      await page.click('main button[type=submit]');
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByText(`Hello ${email}`).waitFor();
      expect(page.url()).toBe(`${origin}/`); // no code stays in the address
      await page.click('#sign-out');
      await page.getByRole('button', { name: 'Sign out' }).click(); // the house asks whether from everywhere
      await page.getByText('Nobody is signed in.').waitFor();
      expect(complaints).toEqual([]);
      await context.close();
    });
  });
});
