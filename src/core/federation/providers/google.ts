/**
 * Google: the authority on addresses at gmail.com, and on those of the organizations whose mail it
 * hosts (`hd`). It gives a refresh token with a consent only, and has a word of its own for that.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import type { Provider } from '../provider.js';
import { oidc } from './oidc.js';

export const google = (settings: ProviderSettings): Provider => ({
  ...oidc(settings, (domain, { hd }) => domain === 'gmail.com' || (typeof hd === 'string' && hd !== '')),
  askOffline: { access_type: 'offline' },
  offlineByConsent: true,
});
