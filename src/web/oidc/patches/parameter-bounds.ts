/**
 * Bounds the parameters of a request by length and number, before oidc-provider processes them. Its
 * work grows with both.
 */
import { errors } from 'oidc-provider';
import type { RequestBounds } from '../../../base/config/request-bounds.js';
import type { ProviderInternals } from '../provider-internals.js';

type Params = Record<string, unknown>;
type Bounds = Pick<RequestBounds, 'parameterCharacters' | 'resources' | 'scopes'>;

/** Adds a hook that rejects parameters beyond the bounds. */
export function patchParameterBounds({ paramsHooks }: ProviderInternals, bounds: Bounds): void {
  paramsHooks.push(function rejectExcess(params) {
    const error = boundsError(params, bounds);
    if (error) throw new errors.InvalidRequest(error);
  });
}

/** Returns which bound the parameters exceed, as an error description; undefined if none. */
function boundsError(params: Params, { parameterCharacters, resources, scopes }: Bounds): string | undefined {
  for (const name in params) {
    const values = [params[name]].flat();
    if (values.length > resources) return `at most ${resources} ${name} parameters are allowed`;
    if (values.some((value) => typeof value === 'string' && value.length > parameterCharacters)) {
      return `${name} is longer than ${parameterCharacters} characters`;
    }
  }
  const { scope } = params;
  if (typeof scope === 'string' && scope.split(' ').length > scopes) return `at most ${scopes} scopes are allowed`;
  return undefined;
}
