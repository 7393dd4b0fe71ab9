// Which certificate headers are trusted. flows/rfc8705-mtls.test.ts covers their use.
import { describe, expect, it } from 'vitest';
import { createClientCertificateReader } from '../../../src/web/http/client-certificate.js';
import { leaf, otherDomain } from '../../kit/certificates.js';
import { openHttpServer } from '../../support/http-server.js';
import { sendRequest } from '../../support/request.js';

const HEADER = 'x-client-cert';

/** Returns how many certificates the reader accepts from a request with these headers. */
async function countAccepted(values: string[], fromProxy: boolean): Promise<number> {
  const certificates = createClientCertificateReader({ header: HEADER });
  const server = await openHttpServer(async (req, res) => {
    certificates.captureHeader(req, fromProxy);
    expect(req.headers).not.toHaveProperty(HEADER);
    res.end(String(certificates.certificatesOf(req).length));
  });
  const { text } = await sendRequest(server, 'GET', '/', { [HEADER]: values.map(encodeURIComponent) });
  await server.close();
  return Number(text);
}

describe('the client certificate header', () => {
  it('is trusted from a trusted proxy only', async () => {
    expect(await countAccepted([leaf], true)).toBe(1);
    expect(await countAccepted([leaf], false)).toBe(0);
  });

  it('is ignored if there are two, because a client may have sent one', async () => {
    expect(await countAccepted([otherDomain, leaf], true)).toBe(0);
  });
});
