/** What an endpoint may say no with, for the document: what its line names, and what follows from it. */

import { REFUSALS, type RefusalCode } from '../endpoints/documented-errors.js';
import type { EndpointAt } from '../endpoints/endpoint.js';

/** All codes that an endpoint may refuse with, by status: its own, and those that follow from its line. */
export function refusalsOf(endpoint: EndpointAt): Map<number, RefusalCode[]> {
  const byStatus = new Map<number, RefusalCode[]>();
  const codes = new Set([...following(endpoint), ...(endpoint.refusals ?? [])]);
  for (const code of (Object.keys(REFUSALS) as RefusalCode[]).filter((known) => codes.has(known))) {
    const [status] = REFUSALS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}

export const whenRefused = (code: RefusalCode) => REFUSALS[code][1];

function following({ method, path, accepts, optional, admin, recentProof, query, body }: EndpointAt) {
  const codes: RefusalCode[] = ['rate_limited', 'temporarily_unavailable'];
  if (body || query || path.includes(':')) codes.push('invalid_request');
  if (body) codes.push('payload_too_large', 'unsupported_media_type');
  if (accepts.length > 0) codes.push('expired_token', 'invalid_token', 'insufficient_scope');
  if (accepts.length > 0 && !optional) codes.push('no_auth');
  if (accepts.length > 0 && method !== 'get') codes.push('csrf_validation_failed');
  if (accepts.includes('foreign')) codes.push('upstream_unavailable');
  if (admin) codes.push('insufficient_role');
  if (recentProof) codes.push('reauth_required');
  return codes;
}
