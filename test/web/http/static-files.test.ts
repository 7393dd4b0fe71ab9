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
const app = new Koa().use(files.serve).use(function rest(ctx) {
  ctx.body = 'the rest';
});
const http = request(app.callback());

describe('a public file', () => {
  it('is served with its type and kept for a year under its version', async () => {
    const css = await http.get(files.urlOf('style.css')).expect(200, 'body { color: red }');
    expect(css.headers['content-type']).toBe('text/css; charset=utf-8');
    expect(css.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const svg = await http.get(files.urlOf('mark.svg')).expect(200);
    expect(svg.headers['content-type']).toBe('image/svg+xml; charset=utf-8');
  });

  it('is asked for anew under no version or that of another release', async () => {
    for (const address of ['/assets/style.css', '/assets/style.css?v=another', '/assets/style.css?v=a&v=b']) {
      const answer = await http.get(address).expect(200);
      expect(answer.headers['cache-control']).toBe('no-cache');
    }
  });

  it('is not sent again to who has it', async () => {
    const { headers } = await http.get('/assets/style.css');
    const again = await http
      .get('/assets/style.css')
      .set('If-None-Match', headers.etag ?? '')
      .expect(304);
    expect(again.text).toBe('');
  });

  it('answers HEAD without a body, and no other method', async () => {
    const head = await http.head('/assets/style.css').expect(200);
    expect(head.headers['content-length']).toBe('19');
    const post = await http.post('/assets/style.css').expect(405);
    expect(post.headers.allow).toBe('GET, HEAD');
  });
});

describe('nothing else', () => {
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
  ])('is reachable as %s', async (path) => {
    // A client would tidy the path before it sends it; this one goes out as it is written.
    const answer = await http.get('/').use((outgoing) => {
      outgoing.url = outgoing.url.replace(/\/$/, path);
    });
    expect([404, 200]).toContain(answer.status);
    if (answer.status === 200) expect(answer.text).toBe('the rest');
  });

  it('is in the way of other paths', async () => {
    await http.get('/assetsx').expect(200, 'the rest');
  });

  it('has an address', () => {
    expect(() => files.urlOf('missing.css')).toThrow('no public file');
  });
});

describe('the files that come with the pages', () => {
  it('are there, and small', async () => {
    const real = createStaticFiles();
    const shipped = request(new Koa().use(real.serve).callback());
    const css = await shipped.get(real.urlOf('signet.css')).expect(200);
    expect(Buffer.byteLength(css.text)).toBeLessThan(13 * 1024);
    expect(css.text).not.toMatch(/@import|url\(/);
    await shipped.get(real.urlOf('favicon.svg')).expect(200);
    const viewer = await shipped.get(real.urlOf('swagger-ui.js')).expect(200);
    expect(viewer.headers['content-type']).toBe('text/javascript; charset=utf-8');
  });
});
