// The part of a service that needs node:crypto: it verifies certificates of workloads (SPIFFE), for
// services that terminate TLS themselves.
import { X509Certificate } from 'node:crypto';
import { parseSpiffeBundle, verifyJwtSvid, verifyX509Svid } from 'signet/kit/spiffe';

export function createSvidService({ trustDomain, bundle }) {
  const bundles = (name) => (name === trustDomain ? parseSpiffeBundle(JSON.stringify(bundle)) : undefined);

  /** The body is a certificate chain in PEM, or a token. */
  return async function fetch(request) {
    const shown = await request.text();
    const chain = shown.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
    const verdict = chain
      ? verifyX509Svid(
          chain.map((pem) => new X509Certificate(pem)),
          bundles,
        )
      : await verifyJwtSvid(shown, bundles, { audience: ['tickets'] });
    return Response.json(verdict);
  };
}
