/** Derives keys for rate limits and known locations from IP addresses. */
import ipaddr from 'ipaddr.js';

const MAX_CACHED_ADDRESSES = 10_000;

/**
 * Memoizes a function of an IP address, because parsing the address costs more than the rest of
 * many requests. The result for an address must never change.
 */
export function memoizeByIp<Result>(compute: (address: string) => Result): (address: string) => Result {
  const results = new Map<string, Result>();
  return function memoized(address) {
    const cached = results.get(address);
    if (cached !== undefined) return cached;
    const result = compute(address);
    if (results.size >= MAX_CACHED_ADDRESSES) results.clear(); // clients choose the addresses
    results.set(address, result);
    return result;
  };
}

/**
 * Returns the rate-limit key of an address. All addresses of an IPv6 /64 share one key, because
 * they usually belong to one customer.
 */
export const rateLimitKey = memoizeByIp((address) => prefixOf(address, 64));

/**
 * Returns the key of a network. All addresses of an IPv6 /48 share one key, because providers often
 * assign one to a single customer.
 */
export const networkKey = memoizeByIp((address) => prefixOf(address, 48));

/**
 * Returns the keys of the networks that one customer can control, the narrowest first: an IPv4
 * address, or the /64, /56 and /48 of an IPv6 address.
 */
export const networkKeys = memoizeByIp((address) => [
  ...new Set(([64, 56, 48] as const).map((bits) => prefixOf(address, bits))),
]);

/** Returns an IPv4 address, or the first bits of an IPv6 address. */
function prefixOf(address: string, bits: 64 | 56 | 48): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  const [a = 0, b = 0, c = 0, d = 0] = (parsed as ipaddr.IPv6).parts;
  const parts = { 64: [a, b, c, d], 56: [a, b, c, d & 0xff00], 48: [a, b, c] }[bits];
  return parts.map((part) => part.toString(16)).join(':') + (bits === 56 ? '/56' : '');
}
