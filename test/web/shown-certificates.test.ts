// Of certificates in headers: whose is believed. What comes of one is in flows/rfc8705-mtls.test.ts.
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { createShownCertificates } from '../../src/web/shown-certificates.js';
import { leaf, stranger } from '../kit/certificates.js';

const HEADER = 'x-client-cert';

/** What is believed of a request with these headers. */
function shownWith(values: string[], fromProxy: boolean): number {
  const req = new IncomingMessage(new Socket());
  const encoded = values.map((value) => encodeURIComponent(value));
  Object.assign(req, { rawHeaders: encoded.flatMap((value) => ['X-Client-Cert', value]) });
  req.headers[HEADER] = encoded.join(', ');
  const certificates = createShownCertificates({ header: HEADER });
  certificates.take(req, fromProxy);
  expect(req.headers).not.toHaveProperty(HEADER);
  return certificates.of(req).length;
}

it('is that of a trusted proxy, and nobody else', () => {
  expect(shownWith([leaf], true)).toBe(1);
  expect(shownWith([leaf], false)).toBe(0);
});

it('is none where a proxy let another header pass beside its own', () => {
  expect(shownWith([stranger, leaf], true)).toBe(0);
});
