import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Koa from 'koa';
import request from 'supertest';
import { afterAll, describe, expect, it } from 'vitest';
import { createStaticFiles } from '../../../src/web/http/static-files.js';

const directory = mkdtempSync(join(tmpdir(), 'public-'));
writeFileSync(join(directory, 'style.css'), 'body { color: red }');
writeFileSync(join(directory, 'mark.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
writeFileSync(join(directory, 'notes.md'), 'not for the public');
mkdirSync(join(directory, 'inner.css'));
afterAll(() => rmSync(directory, { recursive: true }));

const files = createStaticFiles({ directory });
const app = new Koa().use(files.serve).use(function fallback(ctx) {
  ctx.body = 'fallback';
});
const http = request(app.callback());

describe('a public file', () => {
  it('is served with its type and cached for a year under its versioned URL', async () => {
    const css = await http.get(files.urlOf('style.css')).expect(200, 'body { color: red }');
    expect(css.headers['content-type']).toBe('text/css; charset=utf-8');
    expect(css.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const svg = await http.get(files.urlOf('mark.svg')).expect(200);
    expect(svg.headers['content-type']).toBe('image/svg+xml; charset=utf-8');
  });

  it.each(['/assets/style.css', '/assets/style.css?v=another', '/assets/style.css?v=a&v=b'])(
    'is not cached without the current version: %s',
    async (url) => {
      const { headers } = await http.get(url).expect(200);
      expect(headers['cache-control']).toBe('no-cache');
    },
  );

  it('supports conditional requests', async () => {
    const { headers } = await http.get('/assets/style.css');
    const notModified = await http
      .get('/assets/style.css')
      .set('If-None-Match', headers.etag ?? '')
      .expect(304);
    expect(notModified.text).toBe('');
  });

  it('accepts only GET and HEAD', async () => {
    const head = await http.head('/assets/style.css').expect(200);
    expect(head.headers['content-length']).toBe('19');
    const post = await http.post('/assets/style.css').expect(405);
    expect(post.headers.allow).toBe('GET, HEAD');
  });
});

describe('the handler of public files', () => {
  it.each([
    '/assets/',
    '/assets/missing.css',
    '/assets/notes.md',
    '/assets/inner.css',
    '/assets/../package.json',
    '/assets/..%2fpackage.json',
    '/assets/%2e%2e/package.json',
    '/assets//style.css',
    '/assets/__proto__',
    '/assets/constructor',
  ])('does not serve %s', async (path) => {
    // Sets the path after supertest has normalized the URL.
    const response = await http.get('/').use((outgoing) => {
      outgoing.url = outgoing.url.replace(/\/$/, path);
    });
    expect([404, 200]).toContain(response.status);
    if (response.status === 200) expect(response.text).toBe('fallback');
  });

  it('leaves other paths to the next handler', async () => {
    await http.get('/assetsx').expect(200, 'fallback');
  });

  it('throws for the URL of a file that does not exist', () => {
    expect(() => files.urlOf('missing.css')).toThrow('no public file');
  });
});

describe('the style sheet, icon and scripts of the pages', () => {
  it('are served, and the style sheet is small and self-contained', async () => {
    const shippedFiles = createStaticFiles();
    const shipped = request(new Koa().use(shippedFiles.serve).callback());
    const css = await shipped.get(shippedFiles.urlOf('signet.css')).expect(200);
    expect(Buffer.byteLength(css.text)).toBeLessThan(13 * 1024);
    expect(css.text).not.toMatch(/@import|url\(/);
    await shipped.get(shippedFiles.urlOf('favicon.svg')).expect(200);
    const viewer = await shipped.get(shippedFiles.urlOf('swagger-ui.js')).expect(200);
    expect(viewer.headers['content-type']).toBe('text/javascript; charset=utf-8');
  });
});
