/**
 * Bounds DPoP proofs (RFC 9449) before oidc-provider verifies them. A proof contains its key, so
 * the client decides how much a verification costs.
 */
import Provider, { errors } from 'oidc-provider';
import { withBound } from '../../../base/app-error.js';
import { proofBoundsError } from '../../../kit/verification-cost.js';
import type { ProviderInternals } from '../provider-internals.js';

/** Adds a hook that rejects proofs beyond the bounds. */
export function patchProofBounds({ paramsHooks }: ProviderInternals): void {
  paramsHooks.push(function rejectCostlyProof() {
    const error = proofBoundsError(Provider.ctx?.get('DPoP') ?? '');
    if (error) throw withBound('DPoP proof', new errors.InvalidDpopProof(error));
  });
}
