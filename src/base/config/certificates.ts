/** Where certificates of clients come from, and who stands behind them, as the settings name it. */
import { failedRules, type Rule } from './rules.js';

export interface CertificateConfig {
  /** In small letters. Believed only from trusted proxies. */
  header: string;
  /** PEM: authorities whose certificates prove which client it is (`tls_client_auth`). */
  authoritiesFile: string | undefined;
  spiffe: SpiffeConfig | undefined;
  /** Certificate and key of this very server, where no proxy ends TLS. */
  tls: { certificateFile: string; keyFile: string } | undefined;
}

export interface SpiffeConfig {
  trustDomains: string[];
  /** Holds `<trust domain>.json` for each of them. */
  bundlesFolder: string;
}

export interface CertificateSettings {
  CLIENT_CERT_HEADER: string;
  CLIENT_CA_FILE: string;
  SPIFFE_TRUST_DOMAIN: string;
  SPIFFE_TRUSTED_DOMAINS: string[];
  SPIFFE_BUNDLES: string;
  TLS_CERT_FILE: string;
  TLS_KEY_FILE: string;
}

const HEADER_NAME = /^[\w-]{1,60}$/;
/** Headers that mean something else. */
const TAKEN =
  /^(authorization|cookie|host|dpop|content-.*|x-forwarded-.*|x-api-key|x-csrf-token|forwarded|connection)$/;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;

/** Never throws: what cannot be used is told by `certificateErrors`. */
export function certificatesOf(settings: CertificateSettings): CertificateConfig {
  const { SPIFFE_TRUST_DOMAIN: own, SPIFFE_TRUSTED_DOMAINS: others, SPIFFE_BUNDLES: bundlesFolder } = settings;
  const trustDomains = [...new Set([...(own ? [own] : []), ...others])];
  const { TLS_CERT_FILE: certificateFile, TLS_KEY_FILE: keyFile } = settings;
  return {
    header: settings.CLIENT_CERT_HEADER.toLowerCase(),
    authoritiesFile: settings.CLIENT_CA_FILE || undefined,
    spiffe: trustDomains.length > 0 ? { trustDomains, bundlesFolder } : undefined,
    tls: certificateFile && keyFile ? { certificateFile, keyFile } : undefined,
  };
}

/** What is wrong with these settings, a sentence each. */
export function certificateErrors(
  settings: CertificateSettings,
  { trustedProxies, issuer }: { trustedProxies: string[]; issuer: string },
): string[] {
  const { header, authoritiesFile, spiffe } = certificatesOf(settings);
  const { TLS_CERT_FILE, TLS_KEY_FILE, SPIFFE_BUNDLES } = settings;
  const wrongDomain = spiffe?.trustDomains.find((name) => !TRUST_DOMAIN.test(name) || name.startsWith('.'));
  const comeIn = trustedProxies.length > 0 || Boolean(TLS_CERT_FILE);
  const rules: Rule[] = [
    [
      !HEADER_NAME.test(header) || TAKEN.test(header),
      'CLIENT_CERT_HEADER is no name for it; allowed: letters, digits and -, and no header that has another meaning',
    ],
    [
      wrongDomain !== undefined,
      `SPIFFE_TRUST_DOMAIN or SPIFFE_TRUSTED_DOMAINS holds "${wrongDomain}"; allowed: names such as example.org, in small letters, without spiffe://`,
    ],
    [
      spiffe !== undefined && !SPIFFE_BUNDLES,
      'SPIFFE_BUNDLES is missing: name the folder with a bundle for each trust domain, such as example.org.json',
    ],
    [!spiffe && Boolean(SPIFFE_BUNDLES), 'SPIFFE_BUNDLES says nothing without SPIFFE_TRUST_DOMAIN'],
    [
      Boolean(TLS_CERT_FILE) !== Boolean(TLS_KEY_FILE),
      'TLS_CERT_FILE and TLS_KEY_FILE must be set together, or neither',
    ],
    [
      Boolean(TLS_CERT_FILE) && !issuer.startsWith('https:'),
      'TLS_CERT_FILE makes this server speak https, so ISSUER must begin with https://',
    ],
    [
      authoritiesFile !== undefined && !comeIn,
      'CLIENT_CA_FILE says nothing as long as no certificate can come: set TRUSTED_PROXIES, or TLS_CERT_FILE and TLS_KEY_FILE',
    ],
  ];
  return failedRules(rules);
}
