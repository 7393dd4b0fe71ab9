/**
 * LinkedIn, which verifies nobody's address for others. It refuses a code verifier, and puts no
 * nonce into its ID token: that an answer is meant for this browser is known by its state alone.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import type { Provider } from '../provider.js';
import { oidc } from './oidc.js';

export const linkedin = (settings: ProviderSettings): Provider => ({
  ...oidc(settings, () => false),
  secretInBody: true,
  listsByComma: true,
  lacks: ['pkce', 'nonce'],
});
