/** Composes the OAuth 2.1 and OpenID Connect module. */
import type { Base } from '../../base/base.js';
import { createRateLimiter } from '../../base/rate-limiter.js';
import type { Core } from '../../core/core.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import type { ClientCertificateReader } from '../http/client-certificate.js';
import type { Csrf } from '../pages/csrf.js';
import type { FormNavigation } from '../pages/form-navigation.js';
import type { LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import { createClientAuthThrottle } from './client-auth-throttle.js';
import { createConsentPage } from './interactions/consent-page.js';
import { createInteractions } from './interactions/interactions.js';
import { createProviderPages } from './pages/provider-pages.js';
import type { OidcPages } from './pages/view-models.js';
import { createBackchannelLogout } from './provider/backchannel-logout.js';
import { createProviders } from './provider/provider.js';
import { createProviderEndpoints } from './provider-endpoints.js';
import { createOidcRouter } from './router.js';
import { createAdapters } from './storage/adapter.js';
import { createClientResolver } from './storage/client-resolver.js';
import { createWellKnown } from './well-known.js';

interface Deps {
  views: Views<OidcPages>;
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  formNavigation: FormNavigation;
  certificates: ClientCertificateReader;
}

/** Creates the router and the direct routes. Rejects if oidc-provider rejects its configuration. */
export async function createOidcModule(base: Base, core: Core, deps: Deps) {
  const { config, clock, secrets, rateLimiter } = base;
  const { issuer } = config;

  const resolveClient = createClientResolver(core);
  const adapters = createAdapters({
    ...core,
    resolveClient,
    secrets,
    clock,
    rateLimiter,
    bounds: config.requestBounds,
  });
  const pages = createProviderPages(deps);
  const providers = createProviders({ ...base, ...deps, core, resolveClient, adapters, pages });
  await providers.current();

  const wellKnown = createWellKnown({ ...core, issuer, providers });
  const consentPage = createConsentPage({ ...core, ...deps });
  const interactions = createInteractions({ ...core, ...deps, clock, providers, consentPage });
  const processRateLimiter = createRateLimiter({ kind: 'memory' }, config.limits);
  const clientAuthThrottle = createClientAuthThrottle({ processRateLimiter });
  const endpoints = createProviderEndpoints({ providers, clientAuthThrottle });
  const router = createOidcRouter({
    config,
    wellKnown,
    interactions,
    rateLimiter,
    processRateLimiter,
    endpoints,
  });
  core.sessions.onRevoked(createBackchannelLogout({ ...base, providers }).notify);

  return { router, directRoutes: [...wellKnown.directRoutes, ...endpoints.directRoutes] };
}
