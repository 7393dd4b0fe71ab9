// Sign-in with external providers in Chromium, without scripts: the cookies survive the redirect
// from another site, the Content Security Policy allows the redirect of the form, and the pages fit
// screens of all sizes.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import {
  type FakeProvider,
  newExternalUser,
  openFakeProvider,
  SETTINGS,
  useFakeProvider,
} from '../support/fake-providers.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const PICTURES = process.env.SIGNET_TEST_PICTURES;
const SIZES = [
  { width: 320, height: 640 },
  { width: 1280, height: 800 },
];

let github: FakeProvider;
let google: FakeProvider;
let server: TestServer;
let browser: Browser;
let context: BrowserContext;
let complaints: string[];
let page: Page;

beforeAll(async () => {
  github = await openFakeProvider('github');
  google = await openFakeProvider('google');
  server = await startServer({ settings: SETTINGS, wrapBase: useFakeProvider(github, google) });
  browser = await launchChromium();
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
});
beforeEach(async () => {
  ({ context, complaints } = await openContext(browser, { javaScriptEnabled: false }));
  page = await context.newPage();
});
afterEach(() => context.close());
afterAll(async () => {
  await browser?.close();
  await server.close();
  await Promise.all([github.close(), google.close()]);
});

/** Expects that the page fits screens of all sizes, and takes pictures of it. */
async function checkLayout(name: string): Promise<void> {
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const path = join(PICTURES ?? '', `${name}-${size.width}-${colorScheme}.png`);
      if (PICTURES) await page.screenshot({ path, fullPage: true, animations: 'disabled' });
    }
    const rights = await page
      .locator('body *')
      .evaluateAll((elements) => elements.map((element) => element.getBoundingClientRect().right));
    expect(Math.max(...rights), `${name} at ${size.width}`).toBeLessThanOrEqual(size.width + 0.5);
  }
}

/** Presses a button, and waits until the page after the form has gone on. */
async function press(name: string) {
  await page.getByRole('button', { name, exact: true }).click();
  await page.locator('meta[http-equiv=refresh]').waitFor({ state: 'detached' });
}

it('federated sign-in creates an account, whose identities the user can link and remove', async () => {
  github.user = newExternalUser({ email: 'mara.lindqvist@northwind.example' });
  await page.goto(`${server.origin}/login`);
  await checkLayout('login');
  await press('Continue with GitHub');
  expect(page.url()).toBe(`${server.origin}/account`);

  await page.goto(`${server.origin}/account/security`);
  expect(await page.locator('#links + ul li').count()).toBe(3);
  google.user = newExternalUser({ email: 'mara@gmail.com' });
  await press('Link Google');
  expect(await page.getByRole('status').innerText()).toContain('You can now also sign in with this provider');
  await checkLayout('links');
  await press('Remove Google');
  expect(await page.getByRole('status').innerText()).toContain('The sign-in method was removed');
  await press('Remove GitHub');
  expect(await page.getByRole('alert').innerText()).toContain('your only sign-in method');
  await checkLayout('only-sign-in-method');
  await page.fill('[name=password]', PASSWORD);
  await press('Set password');
  expect(await page.getByRole('status').innerText()).toContain('Your password was saved');
  await press('Remove GitHub');
  expect(await page.getByRole('status').innerText()).toContain('The sign-in method was removed');
  await context.clearCookies();
  await page.goto(`${server.origin}/login`);
  await page.fill('[name=email]', github.user.email!);
  await page.fill('[name=password]', PASSWORD);
  await press('Sign in');
  expect(page.url()).toBe(`${server.origin}/account`);
  expect(complaints).toEqual([]);
});

it('federated sign-in explains how to link an existing account with the same e-mail address', async () => {
  const { email } = await server.account('mara@any.example');
  github.user = newExternalUser({ email });
  await page.goto(`${server.origin}/register`);
  await checkLayout('register');
  await press('Continue with GitHub');
  await checkLayout('link-required');
  expect(await page.getByRole('alert').innerText()).toContain('Sign in to it, then link GitHub');
  await page.fill('[name=email]', email);
  await page.fill('[name=password]', PASSWORD);
  await press('Sign in');
  await page.goto(`${server.origin}/account/security`);
  await press('Link GitHub');
  await context.clearCookies();
  await page.goto(`${server.origin}/login`);
  await press('Continue with GitHub');
  expect(await page.innerText('main')).toContain(email);
});
