/** The home page and the health checks: `/`, `/healthz`, `/readyz`. */
import Router from '@koa/router';
import type { LoginCookie } from './cookies/login-cookie.js';
import type { Context, State } from './http/context.js';
import { DISCOVERY_PATHS } from './oidc/paths.js';
import type { Views } from './pages/views.js';
import type { Readiness } from './readiness.js';

interface Deps {
  issuer: string;
  signup: 'open' | 'closed';
  loginCookie: LoginCookie;
  views: Views;
  readiness: Readiness;
}

export function createHome({ issuer, signup, loginCookie, views, readiness }: Deps): Router<State> {
  return new Router<State>({ sensitive: true }).get('/', home).get('/healthz', health).get('/readyz', ready);

  async function home(ctx: Context): Promise<void> {
    const authenticated = await loginCookie.read(ctx);
    ctx.body = views.render('home', {
      account: authenticated && { name: authenticated.account.name ?? undefined, email: authenticated.account.email },
      registerHref: signup === 'open' ? '/register' : undefined,
      discoveryUrl: `${issuer}${DISCOVERY_PATHS[0]}`,
    });
  }

  /** Reports that the process responds. */
  function health(ctx: Context): void {
    ctx.body = { status: 'ok' };
  }

  /** Reports that the stores respond as well. */
  async function ready(ctx: Context): Promise<void> {
    await readiness.check();
    ctx.body = { status: 'ready' };
  }
}
