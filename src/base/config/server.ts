/** Settings of the server process: addresses, trusted proxies and origins, and the log level. */
import { isIP } from 'node:net';
import { isLoopback } from '../../kit/loopback.js';
import { isHost } from '../host.js';
import { integer, list, oneOf, optional, string } from './setting.js';
import { createTopicDefiner, type ResolvedBy } from './topic.js';

export type ServerConfig = ResolvedBy<typeof server>;

/** Depends on no other topic. */
export const server = createTopicDefiner<unknown>()({
  title: 'Server',
  settings: {
    environment: oneOf(
      'NODE_ENV',
      ['development', 'production', 'test'],
      'development',
      'In production, unsafe settings are rejected.',
    ),
    port: integer('PORT', [0, 65_535], 3000, 'Port to listen on. 0 uses any free port.'),
    host: optional('HOST', 'Address to listen on. Default: all interfaces.'),
    issuer: optional('ISSUER', 'Public URL without a path. Default: http://localhost:<PORT>.'),
    brandName: string('BRAND_NAME', 'Signet', 'Name shown on the pages and in e-mails.'),
    processes: integer('WEB_CONCURRENCY', [1, 64], 1, 'Number of server processes. More than one requires PostgreSQL.'),
    logLevel: oneOf('LOG_LEVEL', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info', 'Minimum log level.'),
    trustedProxies: list(
      'TRUSTED_PROXIES',
      'Addresses or networks of reverse proxies whose X-Forwarded-For is trusted.',
    ),
    corsAllowedOrigins: list(
      'CORS_ALLOWED_ORIGINS',
      'Origins of browser apps that can call the JSON API, such as https://app.example.com.',
    ),
    fetchPrivateHosts: list(
      'FETCH_PRIVATE_HOSTS',
      'Hosts in private networks that client metadata and logout URLs can point to, such as intra.example.com or 10.0.0.5:8443.',
    ),
  },
  resolve: ({ environment, issuer, ...values }) => ({
    ...values,
    production: environment === 'production',
    development: environment === 'development',
    isTest: environment === 'test',
    issuer: (issuer ?? new URL(`http://localhost:${values.port}`).origin).replace(/\/$/, ''),
  }),
  check(values, { production, issuer }) {
    const url = URL.parse(issuer);
    const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.origin === issuer;
    return [
      !isOrigin &&
        'ISSUER is not an origin; allowed: https://id.example.com, without path, query, port 443 or trailing slash',
      isOrigin &&
        production &&
        url.protocol !== 'https:' &&
        !isLoopback(url.hostname) &&
        'ISSUER must use https in production, unless its host is a loopback address; set ISSUER=https://<your host>',
      ...values.corsAllowedOrigins.map(
        (origin) =>
          (URL.parse(origin)?.origin !== origin || !/^https?:[^*]+$/.test(origin)) &&
          `CORS_ALLOWED_ORIGINS contains "${origin}"; allowed: origins such as https://app.example.com, without path or wildcard`,
      ),
      ...values.trustedProxies.map(
        (proxy) =>
          !isNetwork(proxy) &&
          `TRUSTED_PROXIES contains "${proxy}"; allowed: addresses and networks such as 10.0.0.0/8, separated by commas`,
      ),
      ...values.fetchPrivateHosts.map(
        (host) =>
          !isHost(host.replace(/:\d+$/, '')) &&
          `FETCH_PRIVATE_HOSTS contains "${host}"; allowed: hosts such as intra.example.com or 10.0.0.5:8443, in lower case`,
      ),
    ];
  },
});

/** Reports whether the text is an IP address or a network such as 10.0.0.0/8. */
function isNetwork(text: string): boolean {
  const [address = '', bits] = text.split('/');
  const maxBits = isIP(address) === 6 ? 128 : 32;
  return isIP(address) > 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= maxBits));
}
