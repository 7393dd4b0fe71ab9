/** IP addresses as keys of rate limits and known locations. */
import ipaddr from 'ipaddr.js';

const MAX_REMEMBERED = 10_000;

/**
 * Memoizes a function of an IP address, because parsing costs more than the rest of many requests.
 * Only for results that never change.
 */
export function memoizeByIp<Answer>(findOut: (address: string) => Answer): (address: string) => Answer {
  const known = new Map<string, Answer>();
  return function remembered(address) {
    const before = known.get(address);
    if (before !== undefined) return before;
    const answer = findOut(address);
    if (known.size >= MAX_REMEMBERED) known.clear(); // clients choose the addresses
    known.set(address, answer);
    return answer;
  };
}

/**
 * Returns the key for an address. All addresses of an IPv6 /64 share one key, because one customer
 * owns them all.
 */
export const rateLimitKey = memoizeByIp(function rateLimitKey(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
});
