/** Reports whether a URL's hostname is this machine (RFC 8252, 7.3 and 8.3). */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname);

/**
 * Reports that no attacker on the network can read or change what is sent to a URL: it uses https,
 * or never leaves this machine ("potentially trustworthy", W3C Secure Contexts).
 */
export const isSecureUrl = ({ protocol, hostname }: Pick<URL, 'protocol' | 'hostname'>): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
