// A page in Chromium, without scripts, whose layout is checked on screens of all sizes. With
// SIGNET_TEST_PICTURES, a screenshot of each checked page is stored in that folder.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import jsQR from 'jsqr';
import type { Browser } from 'playwright-core';
import { expect } from 'vitest';
import { registerDynamically } from '../../support/registration.js';
import { PASSWORD, type TestServer } from '../../support/server.js';

const SIZES = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
];
const PICTURES = process.env.SIGNET_TEST_PICTURES;

export type CheckedPage = Awaited<ReturnType<typeof openCheckedPage>>;

/** Opens a page in a new browser context. Close the context at the end. */
export async function openCheckedPage(browser: Browser) {
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
  const context = await browser.newContext({ javaScriptEnabled: false });
  const complaints: string[] = [];
  context.on('console', (message) => {
    const isErrorPage = message.text().startsWith('Failed to load resource'); // its status is 4xx
    if (['error', 'warning'].includes(message.type()) && !isErrorPage) complaints.push(message.text());
  });
  const page = await context.newPage();
  return { context, page, checkPage, signIn };

  /**
   * Expects that the open page has this heading, fits all screens and caused no console message.
   */
  async function checkPage(name: string, heading: string) {
    await page.locator('h1').filter({ hasText: heading }).waitFor(); // a page after a form can go on by itself
    expect(await page.locator('h1').allInnerTexts(), name).toEqual([heading]);
    for (const size of SIZES) {
      await page.setViewportSize(size);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const file = `${name}-${size.width}-${colorScheme}.png`;
        if (PICTURES) await page.screenshot({ path: join(PICTURES, file), fullPage: true, animations: 'disabled' });
      }
      expect(await overflowingElements(), `${name} at ${size.width}`).toEqual([]);
    }
    expect(complaints, name).toEqual([]);
  }

  /** Returns the elements that extend beyond the right edge of the window. */
  async function overflowingElements() {
    const { width } = page.viewportSize()!;
    const boxes = await page.locator('body *').evaluateAll((elements) =>
      elements.map((element) => ({
        tag: element.outerHTML.slice(0, 80),
        right: element.getBoundingClientRect().right,
      })),
    );
    return boxes.filter(({ right }) => right > width + 0.5);
  }

  /** Submits the sign-in form of the open page. */
  async function signIn(email: string) {
    await page.fill('[name=email]', email);
    await page.fill('[name=password]', PASSWORD);
    await page.click('main button[type=submit]');
  }
}

/** Reads the QR code in a picture of the screen. */
export async function readQrCode(browser: Browser, png: Buffer): Promise<string | undefined> {
  const decoder = await browser.newPage();
  const { pixels, width, height } = await decoder.evaluate(
    async (src) => {
      const image = new Image();
      image.src = src;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height);
      const drawing = canvas.getContext('2d')!;
      drawing.drawImage(image, 0, 0);
      const { data, width, height } = drawing.getImageData(0, 0, image.width, image.height);
      return { pixels: [...data], width, height };
    },
    `data:image/png;base64,${png.toString('base64')}`,
  );
  await decoder.close();
  return jsQR.default(Uint8ClampedArray.from(pixels), width, height)?.data;
}

/** Registers an unverified client with long names. */
export async function registerClient(server: TestServer) {
  const origin = 'https://reports.northwind-traders.example';
  const redirect_uri = `${origin}/auth/callback/signet`;
  const { id } = await registerDynamically(server, {
    client_name: 'Quarterly Numbers & Reporting for Northwind',
    client_uri: origin,
    policy_uri: `${origin}/privacy`,
    tos_uri: `${origin}/terms`,
    redirect_uris: [redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
  });
  return { id, redirect_uri };
}
