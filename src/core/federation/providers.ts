/**
 * Creates the external providers of the settings. A new built-in provider needs a file in
 * providers/, an entry in `BUILT_IN_PROVIDERS`, and an entry in `FACTORIES`.
 */
import type { ProviderSettings } from '../../base/config/federation.js';
import type { Provider } from './provider.js';
import { github } from './providers/github.js';
import { google } from './providers/google.js';
import { linkedin } from './providers/linkedin.js';
import { oidc } from './providers/oidc.js';

const FACTORIES: Record<ProviderSettings['kind'], (settings: ProviderSettings) => Provider> = {
  github,
  google,
  linkedin,
  oidc: (settings) => oidc(settings),
};

/** Returns the providers in the order of the settings. */
export const createProviders = (settings: ProviderSettings[]): Provider[] =>
  settings.map((provider) => FACTORIES[provider.kind](provider));
