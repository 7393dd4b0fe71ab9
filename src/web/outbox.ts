/**
 * Mail that was stored instead of sent, for developers: `/dev/outbox`. Not available on other
 * hosts.
 */
import Router from '@koa/router';
import { notFound } from '../base/app-error.js';
import type { Config } from '../base/config.js';
import type { Mailer } from '../base/mailer.js';
import { isLoopback } from '../kit/loopback.js';
import type { Context, Handler, State } from './http/context.js';
import type { Views } from './pages/views.js';

interface Deps {
  config: Pick<Config, 'development' | 'issuer'>;
  mailer: Mailer;
  views: Views;
}

export function createOutboxPage({ config, mailer, views }: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  const { outbox } = mailer;
  if (!outbox || !config.development || !isLoopback(new URL(config.issuer).hostname)) return router;
  return router.get('/dev/outbox', fromThisMachine, show);

  async function show(ctx: Context): Promise<void> {
    const mails = (await outbox!.list()).map(({ subject, to, at, text }) => ({
      subject,
      to,
      at: `${at.slice(0, 19).replace('T', ' ')} UTC`,
      parts: withLinks(text),
    }));
    ctx.body = views.render('outbox', { folder: outbox!.folder, mails });
  }
}

/**
 * Accepts only browsers on this machine that request a loopback host: no tunnels, no DNS rebinding.
 * Reads the raw headers, because the pipeline has overwritten the others.
 */
const fromThisMachine: Handler = async function fromThisMachine(ctx, next) {
  const headers = new Headers();
  const { rawHeaders, socket } = ctx.req;
  for (let n = 0; n < rawHeaders.length; n += 2) headers.append(rawHeaders[n]!, rawHeaders[n + 1]!);
  const forwarded = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'via'].some((name) => headers.has(name));
  const host = URL.parse(`http://${headers.get('host') ?? ''}`)?.hostname ?? '';
  const near = isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''));
  if (forwarded || !near || !isLoopback(host)) throw notFound();
  await next();
};

function withLinks(text: string): { text: string; href?: string }[] {
  return text.split(/(https?:\/\/\S+)/).map((part, n) => (n % 2 ? { text: part, href: part } : { text: part }));
}
