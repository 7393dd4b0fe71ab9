/** The external providers of the settings. A new kind is one file and one line. */
import type { ProviderSettings } from '../../base/config/federation.js';
import type { Provider } from './provider.js';
import { github } from './providers/github.js';
import { google } from './providers/google.js';
import { linkedin } from './providers/linkedin.js';
import { oidc } from './providers/oidc.js';

const KINDS: Record<ProviderSettings['kind'], (settings: ProviderSettings) => Provider> = {
  github,
  google,
  linkedin,
  oidc: (settings) => oidc(settings),
};

/** Returns the provider values in the order of the settings. */
export const createProviders = (settings: ProviderSettings[]): Provider[] =>
  settings.map((one) => KINDS[one.kind](one));
