/** Network addresses, as limits and suspicions count them. */
import ipaddr from 'ipaddr.js';

/** One customer of an IPv6 provider has a whole /64: it counts as one address. */
export function addressKey(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
}
