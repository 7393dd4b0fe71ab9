/**
 * LinkedIn. It is not authoritative for any address. It rejects PKCE and omits the nonce from its
 * ID token, so only `state` binds a response to the browser.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import type { Provider } from '../provider.js';
import { oidc } from './oidc.js';

/** Returns a LinkedIn provider. */
export const linkedin = (settings: ProviderSettings): Provider => ({
  ...oidc(settings, () => false),
  secretInBody: true,
  commaSeparatedScopes: true,
  unsupported: ['pkce', 'nonce'],
});
