// The page that shows the OpenAPI document, in a browser: it works under its policy, and tells
// nobody else anything.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe('the API reference', () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];
  let asked: string[];
  let page: Page;
  beforeAll(async () => {
    server = await startServer();
    browser = await launchChromium();
  });
  beforeEach(async () => {
    ({ context, complaints } = await openContext(browser));
    asked = [];
    context.on('request', (request) => asked.push(request.url()));
    page = await context.newPage();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  async function open(path = '/docs/api') {
    await page.goto(server.issuer + path);
    await page.waitForSelector('.opblock');
  }

  const otherBrowser = () => asked.filter((url) => !url.startsWith(`${server.issuer}/`) && !url.startsWith('data:'));

  it('shows every operation of the document, from our own origin alone and without a complaint', async () => {
    await open();
    const { paths } = (await (await fetch(`${server.origin}/api/openapi.json`)).json()) as { paths: object };
    expect(await page.locator('.opblock').count()).toBe(
      Object.values(paths).flatMap((path) => Object.keys(path)).length,
    );
    for (const n of [0, 1, 2]) await page.locator('.opblock-summary-control').nth(n).click();
    await page.waitForSelector('.responses-table');
    expect(otherBrowser()).toEqual([]);
    expect(complaints).toEqual([]);
  }, 60_000);

  it('leads back, and is found from the front page', async () => {
    await page.goto(server.issuer);
    await page.click('a[href="/docs/api"]');
    await page.waitForSelector('.opblock');
    await page.click('.masthead .brand');
    await page.waitForURL(`${server.issuer}/`);
    expect(complaints).toEqual([]);
  });

  it('has a policy that runs our own files and nothing else', async () => {
    const { headers } = await fetch(`${server.origin}/docs/api`);
    const policy = headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'self'(;|$)/);
    expect(policy).toMatch(/connect-src 'self'(;|$)/);
    expect(policy).toMatch(/style-src 'self'(;|$)/);
    expect(policy).not.toMatch(/unsafe|\*[^:]*;.*script/);
    const other = (await fetch(`${server.origin}/login`)).headers.get('content-security-policy')!;
    expect(other).not.toMatch(/script-src '|connect-src/);
  });

  it('runs no script that is written into it, and asks no other origin', async () => {
    await open();
    const ran = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      const asked = await fetch('https://evil.example/').then(
        () => true,
        () => false,
      );
      return [(window as unknown as { ran?: boolean }).ran ?? false, asked];
    });
    expect(ran).toEqual([false, false]);
    expect(complaints.join()).toContain('Content Security Policy');
  });

  it('shows no document of a stranger, whatever its address says', async () => {
    await open('/docs/api?url=https://evil.example/openapi.json&configUrl=https://evil.example/config.json');
    expect(otherBrowser()).toEqual([]);
    expect(await page.locator('.opblock').count()).toBeGreaterThan(5);
  });

  it('tries a request out with a token that goes to us and stays nowhere', async () => {
    const { email } = await server.account();
    const login = await fetch(`${server.origin}/api/v1/auth/login-json`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password: PASSWORD }),
    });
    const { access_token: token } = (await login.json()) as { access_token: string };
    await open();
    await page.click('.btn.authorize');
    await page.locator('.auth-container input').first().fill(token);
    await page.locator('.auth-btn-wrapper .authorize').first().click();
    await page.locator('.btn-done').first().click();
    const block = page.locator('[id$="getAuthMe"]');
    await block.locator('.opblock-summary-control').click();
    await block.locator('.try-out__btn').click();
    await block.locator('.execute').click();
    await block.locator('.live-responses-table .microlight', { hasText: email }).first().waitFor();

    expect(otherBrowser()).toEqual([]);
    for (const url of asked) expect(url).not.toContain(token);
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
    );
    expect(kept).not.toContain(token);
    expect(page.url()).not.toContain(token);
    await page.reload();
    await page.waitForSelector('.opblock');
    expect(await page.locator('.btn.authorize.unlocked, .btn.authorize .unlocked').count()).toBeGreaterThan(0);
    expect(await page.locator('.btn.authorize.locked').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it.each([
    [390, 'light'],
    [390, 'dark'],
    [1280, 'light'],
    [1280, 'dark'],
  ] as const)('fits a window of %i px, %s', async (width, colorScheme) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await open();
    if (process.env.SHOTS) {
      await page.locator('.opblock-summary-control').nth(2).click();
      await page.screenshot({ path: `${process.env.SHOTS}/${width}-${colorScheme}.png` });
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    const [ink, ground] = await page.evaluate(() => {
      const light = (color: string) =>
        color
          .match(/\d+/g)!
          .slice(0, 3)
          .reduce((sum, part) => sum + Number(part), 0);
      const summary = document.querySelector('.opblock-summary-path')!;
      return [light(getComputedStyle(summary).color), light(getComputedStyle(document.body).backgroundColor)];
    });
    expect(colorScheme === 'dark' ? ink! - ground! : ground! - ink!).toBeGreaterThan(300);
    expect(complaints).toEqual([]);
  });
});
