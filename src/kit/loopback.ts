/** Reports whether a URL's hostname is a loopback host (RFC 8252, 7.3 and 8.3). */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname);

/**
 * Reports whether requests to a URL are safe from attackers on the network: it uses https or a
 * loopback host ("potentially trustworthy", W3C Secure Contexts).
 */
export const isSecureUrl = ({ protocol, hostname }: Pick<URL, 'protocol' | 'hostname'>): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
