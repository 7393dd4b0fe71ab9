/** Compares loopback redirect URIs, whose port differs with every start of a native app. */
import { isLoopback } from '../../kit/loopback.js';

/**
 * Reports whether two loopback redirect URIs differ at most in the port (RFC 8252, section 7.3).
 */
export function sameLoopback(requested: string, registered: string): boolean {
  const [a, b] = [URL.parse(requested), URL.parse(registered)];
  if (!a || !b || a.protocol !== 'http:' || a.hostname !== b.hostname || !isLoopback(a.hostname)) return false;
  return withoutPort(requested) === withoutPort(registered);
}

/** Removes the port from the text, without normalizing the rest. */
const withoutPort = (uri: string) => uri.replace(/^(http:\/\/(?:\[[^\]]*\]|[^/:?#@]*))(:\d+)?(?=[/?]|$)/, '$1');
