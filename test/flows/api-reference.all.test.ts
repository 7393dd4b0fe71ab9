// The page that shows the OpenAPI document, in a browser, under its Content Security Policy.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { logIn } from '../support/api.js';
import { launchChromium, openContext } from '../support/chromium.js';
import { startServer, type TestServer } from '../support/server.js';

describe('the API reference', () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];
  let requestedUrls: string[];
  let page: Page;
  beforeAll(async () => {
    server = await startServer();
    browser = await launchChromium();
  });
  beforeEach(async () => {
    ({ context, complaints } = await openContext(browser));
    requestedUrls = [];
    context.on('request', (request) => requestedUrls.push(request.url()));
    page = await context.newPage();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  /** Opens the page and waits until it shows operations. */
  async function open(path = '/docs/api') {
    await page.goto(server.issuer + path);
    await page.waitForSelector('.opblock');
  }

  const externalRequests = () =>
    requestedUrls.filter((url) => !url.startsWith(`${server.issuer}/`) && !url.startsWith('data:'));

  it('shows every operation of the document, with files of its own origin only', async () => {
    await open();
    const { paths } = (await (await fetch(`${server.origin}/api/openapi.json`)).json()) as { paths: object };
    expect(await page.locator('.opblock').count()).toBe(
      Object.values(paths).flatMap((path) => Object.keys(path)).length,
    );
    for (const n of [0, 1, 2]) await page.locator('.opblock-summary-control').nth(n).click();
    await page.waitForSelector('.responses-table');
    expect(externalRequests()).toEqual([]);
    expect(complaints).toEqual([]);
  }, 60_000);

  it('is linked from the front page and links back to it', async () => {
    await page.goto(server.issuer);
    await page.click('a[href="/docs/api"]');
    await page.waitForSelector('.opblock');
    await page.click('.masthead .brand');
    await page.waitForURL(`${server.issuer}/`);
    expect(complaints).toEqual([]);
  });

  it('has a Content Security Policy that allows only files of its own origin', async () => {
    const { headers } = await fetch(`${server.origin}/docs/api`);
    const policy = headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'self'(;|$)/);
    expect(policy).toMatch(/connect-src 'self'(;|$)/);
    expect(policy).toMatch(/style-src 'self'(;|$)/);
    expect(policy).not.toMatch(/unsafe|\*[^:]*;.*script/);
    const loginPolicy = (await fetch(`${server.origin}/login`)).headers.get('content-security-policy')!;
    expect(loginPolicy).not.toMatch(/script-src '|connect-src/);
  });

  it('runs no inline script and sends no request to another origin', async () => {
    await open();
    const ran = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      const reached = await fetch('https://evil.example/').then(
        () => true,
        () => false,
      );
      return [(window as unknown as { ran?: boolean }).ran ?? false, reached];
    });
    expect(ran).toEqual([false, false]);
    expect(complaints.join()).toContain('Content Security Policy');
  });

  it('ignores the address of another document in its query', async () => {
    await open('/docs/api?url=https://evil.example/openapi.json&configUrl=https://evil.example/config.json');
    expect(externalRequests()).toEqual([]);
    expect(await page.locator('.opblock').count()).toBeGreaterThan(5);
  });

  it('sends a request with a token that it does not store', async () => {
    const { email } = await server.account();
    const { access_token: token } = await logIn(server, email);
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

    expect(externalRequests()).toEqual([]);
    for (const url of requestedUrls) expect(url).not.toContain(token);
    const stored = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
    );
    expect(stored).not.toContain(token);
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
  ] as const)('fits a window of %i px with a readable %s theme', async (width, colorScheme) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await open();
    if (process.env.SHOTS) {
      await page.locator('.opblock-summary-control').nth(2).click();
      await page.screenshot({ path: `${process.env.SHOTS}/${width}-${colorScheme}.png` });
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    const [textLightness, backgroundLightness] = await page.evaluate(() => {
      const lightness = (color: string) =>
        color
          .match(/\d+/g)!
          .slice(0, 3)
          .reduce((sum, part) => sum + Number(part), 0);
      const summary = document.querySelector('.opblock-summary-path')!;
      return [lightness(getComputedStyle(summary).color), lightness(getComputedStyle(document.body).backgroundColor)];
    });
    const contrast = textLightness! - backgroundLightness!;
    expect(colorScheme === 'dark' ? contrast : -contrast).toBeGreaterThan(300);
    expect(complaints).toEqual([]);
  });
});
