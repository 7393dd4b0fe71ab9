// The fetch that is safe against SSRF, with URLs that an attacker chooses.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const dnsAnswers = vi.hoisted(() => ({ byName: {} as Record<string, string[]> }));
vi.mock('node:dns', async (original) => {
  const dns = await original<typeof import('node:dns')>();
  type Done = (error: Error | null, found?: unknown, family?: number) => void;
  function lookup(hostname: string, options: object, done: Done) {
    const found = dnsAnswers.byName[hostname];
    if (!found) return dns.lookup(hostname, options, done as never);
    done(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  }
  return { ...dns, lookup, default: { ...dns, lookup } };
});
const { createSafeFetch } = await import('../../src/base/safe-fetch.js');

let server: Server;
let origin: string;
let hits = 0;
let handler: RequestListener;
beforeAll(async () => {
  server = createServer((req, res) => {
    hits += 1;
    handler(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sets the response of the server. */
function serve(listener: RequestListener): void {
  handler = listener;
  hits = 0;
}

const messageOf = async (call: Promise<unknown>) => {
  const error = (await call.catch((reason) => reason)) as Error & { cause?: Error };
  expect(error).toBeInstanceOf(TypeError);
  return `${error.message} ${error.cause?.message ?? ''}`;
};

describe('the safe fetch', () => {
  const fetch = createSafeFetch({ timeoutMs: 2000 });

  it.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '017700000001',
    '0.0.0.0',
    '0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '198.18.0.1',
    '192.0.2.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:169.254.169.254]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '[fec0::1]',
    '[ff02::1]',
    '[2001:db8::1]',
  ])('rejects https://%s', async (host) => {
    expect(await messageOf(fetch(`https://${host}/`))).toContain('not public');
  });

  it.each([
    ['10.0.0.1'],
    ['127.0.0.1'],
    ['169.254.169.254'],
    ['::1'],
    ['::ffff:10.0.0.1'],
    ['93.184.216.34', '10.0.0.1'],
    ['10.0.0.1', '93.184.216.34'],
  ])('rejects a name that resolves to %s', async (...found) => {
    dnsAnswers.byName['harmless.example'] = found;
    expect(await messageOf(fetch('https://harmless.example/jwks'))).toContain('not public');
  });

  it('rejects all names of localhost', async () => {
    for (const name of ['localhost', 'LOCALHOST']) {
      expect(await messageOf(fetch(`https://${name}/`)), name).toContain('not public');
    }
  });

  it.each(['http://example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'data:,x', 'javascript:1'])(
    'rejects the URL %s',
    async (url) => {
      expect(await messageOf(fetch(url))).toContain('not https');
    },
  );

  it('fetches from a private host that is allowed', async () => {
    serve((_req, res) => res.end('hello'));
    const { host } = new URL(origin);
    for (const entry of [host, '127.0.0.1']) {
      const response = await createSafeFetch({ privateHosts: [entry] })(origin);
      expect(await response.text()).toBe('hello');
    }
    await messageOf(createSafeFetch({ privateHosts: ['127.0.0.1:1', 'other'] })(origin));
    expect(hits).toBe(2);
  });

  it('allows only loopback for an issuer on loopback', async () => {
    const own = createSafeFetch({ allowLoopback: true, timeoutMs: 1000 });
    serve((_req, res) => res.end('hello'));
    expect(await (await own(origin)).text()).toBe('hello');
    expect(await messageOf(own('http://10.0.0.1/'))).toContain('not public');
    expect(await messageOf(own('http://169.254.169.254/latest/meta-data'))).toContain('not public');
  });
});

describe('the safe fetch with a malicious server', () => {
  const fetch = createSafeFetch({ allowLoopback: true, timeoutMs: 300, maxBytes: 1000 });

  it('does not follow redirects', async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      serve((_req, res) => res.writeHead(status, { location: `${origin}/internal` }).end());
      await messageOf(fetch(`${origin}/start`));
      expect(hits, String(status)).toBe(1);
    }
  });

  it('stops reading at the size limit, with and without Content-Length', async () => {
    serve((_req, res) => res.end('x'.repeat(1001)));
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow();
    serve((_req, res) => {
      res.write('x'.repeat(600));
      setTimeout(() => res.end('x'.repeat(600)), 20);
    });
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow();
    serve((_req, res) => res.end('x'.repeat(1000)));
    expect(await (await fetch(origin)).text()).toHaveLength(1000);
  });

  it('rejects a compressed body', async () => {
    serve((_req, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000))));
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow(TypeError);
  });

  it('limits the time for headers and for a slow body', async () => {
    const started = Date.now();
    serve(() => {});
    await expect(fetch(origin)).rejects.toThrow();
    serve((_req, res) => {
      const drip = setInterval(() => res.write('x'), 50);
      res.on('close', () => clearInterval(drip));
    });
    await expect(fetch(origin).then((response) => response.text())).rejects.toThrow();
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it('sends no credentials', async () => {
    let seen: object = {};
    serve((req, res) => {
      seen = req.headers;
      res.end();
    });
    await fetch(origin);
    expect(seen).not.toHaveProperty('cookie');
    expect(seen).not.toHaveProperty('authorization');
  });

  it('stops when the caller aborts', async () => {
    serve(() => {});
    await expect(fetch(origin, { signal: AbortSignal.timeout(30) })).rejects.toThrow();
  });
});
