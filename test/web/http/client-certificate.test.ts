// Of certificates in headers: whose is believed. What comes of one is in
// flows/rfc8705-mtls.test.ts.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { expect, it } from 'vitest';
import { createClientCertificateReader } from '../../../src/web/http/client-certificate.js';
import { leaf, stranger } from '../../kit/certificates.js';
import { openHttpServer } from '../../support/http-server.js';

const HEADER = 'x-client-cert';

/** How many certificates are believed of a request with these headers. */
async function shownWith(values: string[], fromProxy: boolean): Promise<number> {
  const certificates = createClientCertificateReader({ header: HEADER });
  const server = await openHttpServer(async (req, res) => {
    certificates.captureHeader(req, fromProxy);
    expect(req.headers).not.toHaveProperty(HEADER);
    res.end(String(certificates.certificatesOf(req).length));
  });
  const asked = request(server.origin, { headers: { [HEADER]: values.map(encodeURIComponent) } }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const text = (await answer.toArray()).join('');
  await server.close();
  return Number(text);
}

it('is that of a trusted proxy, and nobody else', async () => {
  expect(await shownWith([leaf], true)).toBe(1);
  expect(await shownWith([leaf], false)).toBe(0);
});

it('is none where a proxy let another header pass beside its own', async () => {
  expect(await shownWith([stranger, leaf], true)).toBe(0);
});
