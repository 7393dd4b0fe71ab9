/**
 * The interaction policy: when a user must sign in or consent. Changes three of the default rules.
 */
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { isLoopback } from '../../../kit/loopback.js';

const { base, Check } = interactionPolicy;

export function createInteractionPolicy() {
  const policy = base();
  const [login, consent] = [policy.get('login'), policy.get('consent')];
  if (!login || !consent) throw new Error('oidc-provider has no login or consent prompt');
  for (const reason of ['essential_acrs', 'essential_acr']) rejectAfterSignIn(login.checks.get(reason));
  consent.checks.add(
    new Check(
      'loopback_client_prompt',
      'the user must confirm an app on a loopback port',
      'consent_required',
      isUnregisteredLoopbackPort,
    ),
  );
  consent.checks.add(
    new Check(
      'document_client_prompt',
      'the user must confirm an app that only its metadata document describes',
      'consent_required',
      ({ oidc }) => oidc.client?.origin === 'document' && !oidc.result?.consent,
    ),
  );
  return policy;
}

/**
 * Makes an unmet `acr` an error after one sign-in (OIDC Core 5.5.1.1). Otherwise the user would
 * have to sign in again and again.
 */
function rejectAfterSignIn(check: { check: (ctx: KoaContextWithOIDC) => unknown } | undefined): void {
  if (!check) return;
  const isUnmet = check.check;
  check.check = async function isUnmetBeforeSignIn(ctx) {
    const unmet = await isUnmet(ctx);
    if (unmet && ctx.oidc.result?.login)
      throw new errors.UnmetAuthenticationRequirements('the requested acr is not offered');
    return unmet;
  };
}

/**
 * Reports whether a public client needs consent because its redirect URI has a loopback port that
 * is not registered. Any local program can listen on it (RFC 8252, 8.6).
 */
function isUnregisteredLoopbackPort({ oidc }: KoaContextWithOIDC): boolean {
  const { client, params, result } = oidc;
  const redirectUri = String(params?.redirect_uri ?? '');
  if (client?.clientAuthMethod !== 'none' || result?.consent || client.redirectUris?.includes(redirectUri))
    return false;
  const url = URL.parse(redirectUri);
  return url?.protocol === 'http:' && isLoopback(url.hostname);
}
