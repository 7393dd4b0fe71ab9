/** The errors of an endpoint, for the OpenAPI document. */

import { DOCUMENTED_ERRORS, type DocumentedErrorCode } from '../endpoints/documented-errors.js';
import type { RegisteredEndpoint } from '../endpoints/endpoint.js';

/**
 * Returns all error codes of an endpoint by status: its own, and those that follow from its checks.
 */
export function documentedErrors(endpoint: RegisteredEndpoint): Map<number, DocumentedErrorCode[]> {
  const byStatus = new Map<number, DocumentedErrorCode[]>();
  const codes = new Set([...impliedErrors(endpoint), ...(endpoint.errors ?? [])]);
  for (const code of (Object.keys(DOCUMENTED_ERRORS) as DocumentedErrorCode[]).filter((known) => codes.has(known))) {
    const [status] = DOCUMENTED_ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}

/** Returns the description of an error code. */
export const errorDescription = (code: DocumentedErrorCode) => DOCUMENTED_ERRORS[code][1];

function impliedErrors({
  method,
  path,
  accepts,
  optional,
  admin,
  requireRecentAuthentication,
  query,
  body,
}: RegisteredEndpoint) {
  const codes: DocumentedErrorCode[] = ['rate_limited', 'temporarily_unavailable'];
  if (body || query || path.includes(':')) codes.push('invalid_request');
  if (body) codes.push('payload_too_large', 'unsupported_media_type');
  if (accepts.length > 0) codes.push('expired_token', 'invalid_token', 'insufficient_scope');
  if (accepts.length > 0 && !optional) codes.push('no_auth');
  if (accepts.length > 0 && method !== 'get') codes.push('csrf_validation_failed');
  if (accepts.includes('external')) codes.push('upstream_unavailable');
  if (admin) codes.push('insufficient_role');
  if (requireRecentAuthentication) codes.push('reauth_required');
  return codes;
}
