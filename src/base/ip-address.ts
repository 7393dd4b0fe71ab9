/** Network addresses, as limits and suspicions count them. */
import ipaddr from 'ipaddr.js';

const MAX_REMEMBERED = 10_000;

/**
 * Remembers what was found out about an address: to parse one costs more than most requests do
 * otherwise. Only for what an address itself decides, and for ever.
 */
export function memoizeByIp<Answer>(findOut: (address: string) => Answer): (address: string) => Answer {
  const known = new Map<string, Answer>();
  return function remembered(address) {
    const before = known.get(address);
    if (before !== undefined) return before;
    const answer = findOut(address);
    if (known.size >= MAX_REMEMBERED) known.clear(); // strangers choose what stands here
    known.set(address, answer);
    return answer;
  };
}

/** One customer of an IPv6 provider has a whole /64: it counts as one address. */
export const rateLimitKey = memoizeByIp(function rateLimitKey(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
});
