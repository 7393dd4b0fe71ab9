/** Rejects ambiguous `Authorization` headers. */
import type { IncomingMessage } from 'node:http';

/**
 * Reports whether there is more than one `Authorization` header. Node keeps the first, but a proxy
 * may have checked another one, so every endpoint rejects such requests.
 */
export function hasSeveralAuthorizationHeaders({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): boolean {
  let count = 0;
  for (let n = 0; n < rawHeaders.length; n += 2) if (rawHeaders[n]!.toLowerCase() === 'authorization') count += 1;
  return count > 1;
}
