/** Which URLs lead to this very machine, and which are safe from listeners on the way. */

/** Whether a URL's host is this very machine. */
export const isLoopback = (hostname: string) =>
  hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(\.\d{1,3}){3}$/.test(hostname);

/** Nobody can listen in: https, or it never leaves this machine. */
export const isSecureUrl = ({ protocol, hostname }: URL) =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
