/** The home page and the health checks: `/`, `/healthz`, `/readyz`. */
import Router from '@koa/router';
import type { LoginCookie } from './cookies/login-cookie.js';
import type { Context, State } from './http/context.js';
import { DISCOVERY } from './oidc/paths.js';
import type { Views } from './pages/views.js';

interface Deps {
  issuer: string;
  signup: 'open' | 'closed';
  loginCookie: LoginCookie;
  views: Views;
  /** Rejects with the name of the store that does not respond. */
  isReady: () => Promise<void>;
}

export function createHome({ issuer, signup, loginCookie, views, isReady }: Deps): Router<State> {
  return new Router<State>({ sensitive: true }).get('/', home).get('/healthz', health).get('/readyz', readiness);

  async function home(ctx: Context): Promise<void> {
    const login = await loginCookie.read(ctx);
    ctx.body = views.render('home', {
      account: login && { name: login.account.name ?? undefined, email: login.account.email },
      registerHref: signup === 'open' ? '/register' : undefined,
      discoveryUrl: `${issuer}${DISCOVERY[0]}`,
    });
  }

  /** Reports that the process responds. */
  function health(ctx: Context): void {
    ctx.body = { status: 'ok' };
  }

  /** Reports that its stores respond too. */
  async function readiness(ctx: Context): Promise<void> {
    await isReady();
    ctx.body = { status: 'ready' };
  }
}
