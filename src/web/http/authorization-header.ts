/**
 * Of several `Authorization` headers Node keeps the first, and a proxy on the way may have looked
 * at another: each door refuses them.
 */
import type { IncomingMessage } from 'node:http';

export function hasSeveralAuthorizations({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): boolean {
  let found = 0;
  for (let n = 0; n < rawHeaders.length; n += 2) if (rawHeaders[n]!.toLowerCase() === 'authorization') found += 1;
  return found > 1;
}
