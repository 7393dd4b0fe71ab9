/** When a person must be asked: the provider's rules, and three of ours. */
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { isLoopback } from '../../../kit/loopback.js';

const { base, Check } = interactionPolicy;

export function createInteractionPolicy() {
  const policy = base();
  const [login, consent] = [policy.get('login'), policy.get('consent')];
  if (!login || !consent) throw new Error('the provider has other prompts than those that are changed here');
  for (const reason of ['essential_acrs', 'essential_acr']) failOnceTried(login.checks.get(reason));
  consent.checks.add(
    new Check(
      'loopback_client_prompt',
      'whoever listens on that port must be let in',
      'consent_required',
      isUnknownListener,
    ),
  );
  consent.checks.add(
    new Check(
      'document_client_prompt',
      'an app that only its own document vouches for must be let in',
      'consent_required',
      ({ oidc }) => oidc.client?.origin === 'document' && !oidc.result?.consent,
    ),
  );
  return policy;
}

/**
 * An authentication that we cannot give is told to the client after one sign-in, not asked of the
 * person for ever (OIDC Core 5.5.1.1).
 */
function failOnceTried(check: { check: (ctx: KoaContextWithOIDC) => unknown } | undefined): void {
  if (!check) return;
  const isUnmet = check.check;
  check.check = async function isUnmetAtFirst(ctx) {
    const unmet = await isUnmet(ctx);
    if (unmet && ctx.oidc.result?.login)
      throw new errors.UnmetAuthenticationRequirements('the requested acr is not offered');
    return unmet;
  };
}

/**
 * A public client on a loopback port of its choice is whichever program took that port (RFC 8252,
 * 8.6): it is never let in silently. One that comes to the very address it registered is as good as
 * its registration.
 */
function isUnknownListener({ oidc }: KoaContextWithOIDC): boolean {
  const { client, params, result } = oidc;
  const redirectUri = String(params?.redirect_uri ?? '');
  if (client?.clientAuthMethod !== 'none' || result?.consent || client.redirectUris?.includes(redirectUri))
    return false;
  const url = URL.parse(redirectUri);
  return url?.protocol === 'http:' && isLoopback(url.hostname);
}
