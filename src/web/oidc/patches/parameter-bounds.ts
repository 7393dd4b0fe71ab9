/**
 * Bounds the parameters of a request by length and number, before oidc-provider processes them. Its
 * work grows with both.
 */
import { errors } from 'oidc-provider';
import { withBound } from '../../../base/app-error.js';
import type { RequestBounds } from '../../../base/config/request-bounds.js';
import type { ProviderInternals } from '../provider-internals.js';

interface Exceeded {
  setting: string;
  description: string;
}

type Params = Record<string, unknown>;
type Bounds = Pick<RequestBounds, 'parameterCharacters' | 'resources' | 'scopes'>;

/** Adds a hook that rejects parameters beyond the bounds. */
export function patchParameterBounds({ paramsHooks }: ProviderInternals, bounds: Bounds): void {
  paramsHooks.push(function rejectExcess(params) {
    const exceeded = findExceeded(params, bounds);
    if (exceeded) throw withBound(exceeded.setting, new errors.InvalidRequest(exceeded.description));
  });
}

/** Returns the bound that the parameters exceed, with an error description; undefined if none. */
function findExceeded(params: Params, { parameterCharacters, resources, scopes }: Bounds): Exceeded | undefined {
  for (const name in params) {
    const values = [params[name]].flat();
    if (values.length > resources) {
      return { setting: 'MAX_RESOURCES', description: `at most ${resources} ${name} parameters are allowed` };
    }
    if (values.some((value) => typeof value === 'string' && value.length > parameterCharacters)) {
      const description = `${name} is longer than ${parameterCharacters} characters`;
      return { setting: 'MAX_PARAMETER_LENGTH', description };
    }
  }
  const { scope } = params;
  if (typeof scope === 'string' && scope.split(' ').length > scopes) {
    return { setting: 'MAX_SCOPES', description: `at most ${scopes} scopes are allowed` };
  }
  return undefined;
}
