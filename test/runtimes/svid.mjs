// The part of a service that needs node:crypto: whose a certificate is (SPIFFE), where TLS ends in
// the service itself.
import { X509Certificate } from 'node:crypto';
import { parseSpiffeBundle, verifyJwtSvid, verifyX509Svid } from 'signet/kit/spiffe';

export function createSvidService({ trustDomain, bundle }) {
  const bundles = (name) => (name === trustDomain ? parseSpiffeBundle(JSON.stringify(bundle)) : undefined);

  /** A chain of certificates, as PEM, or one token. */
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
