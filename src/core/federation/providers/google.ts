/**
 * Google: authoritative for gmail.com and for the domains that it hosts (`hd`). It returns a
 * refresh token only with a consent and needs `access_type=offline` for it.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import type { Provider } from '../provider.js';
import { oidc } from './oidc.js';

/** Returns a Google provider. */
export const google = (settings: ProviderSettings): Provider => ({
  ...oidc(settings, (domain, { hd }) => domain === 'gmail.com' || (typeof hd === 'string' && hd !== '')),
  offlineParams: { access_type: 'offline' },
  offlineByConsent: true,
});
