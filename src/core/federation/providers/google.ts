/**
 * Google. It is authoritative for gmail.com and for the domains that it hosts (claim `hd`). It
 * returns a refresh token only for `access_type=offline`, and only together with a new consent.
 */
import type { ProviderSettings } from '../../../base/config/federation.js';
import type { Provider } from '../provider.js';
import { oidc } from './oidc.js';

/** Returns a Google provider. */
export const google = (settings: ProviderSettings): Provider => ({
  ...oidc(settings, (domain, { hd }) => domain === 'gmail.com' || (typeof hd === 'string' && hd !== '')),
  refreshTokenParameters: { access_type: 'offline' },
  refreshTokenNeedsConsent: true,
});
