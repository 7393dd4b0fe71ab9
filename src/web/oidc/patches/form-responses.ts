/**
 * Responses to forms: oidc-provider's own redirect after a logout form, and its form that sends an
 * authorization response to an app (`response_mode=form_post`). See pages/form-navigation.ts.
 */
import { allowAnyFormTarget } from '../../http/security-headers.js';
import type { FormNavigation } from '../../pages/form-navigation.js';
import type { ProviderInternals } from '../provider-internals.js';

const AUTHORIZATION_ROUTES = new Set(['authorization', 'resume']);

/** Adds the response hook to a provider. */
export function patchFormResponses(
  internals: ProviderInternals,
  { replaceRedirect }: Pick<FormNavigation, 'replaceRedirect'>,
): void {
  internals.responseHooks.push((ctx) => {
    if (ctx.method === 'POST') replaceRedirect(ctx);
    else if (AUTHORIZATION_ROUTES.has(String(ctx._matchedRouteName)) && ctx.oidc.params?.response_mode === 'form_post')
      allowAnyFormTarget(ctx);
  });
}
