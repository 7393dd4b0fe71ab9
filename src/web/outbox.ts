/**
 * `/dev/outbox` shows developers the messages that were stored instead of sent. It exists only if
 * the issuer is a loopback host, and only for browsers on the same machine.
 */
import Router from '@koa/router';
import { notFound } from '../base/app-error.js';
import type { Config } from '../base/config.js';
import type { Mailer } from '../base/mailer.js';
import { formatUtcTime } from '../base/utc-time.js';
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
  return router.get('/dev/outbox', requireLocalBrowser, show);

  async function show(ctx: Context): Promise<void> {
    const messages = (await outbox!.list()).map(({ subject, to, at, text }) => ({
      subject,
      to,
      sentAt: formatUtcTime(new Date(at)),
      parts: splitAtLinks(text),
    }));
    ctx.body = views.render('outbox', { folder: outbox!.folder, messages });
  }
}

/**
 * Accepts only browsers on this machine that request a loopback host. This excludes tunnels and DNS
 * rebinding. Reads the raw headers, because the pipeline has overwritten the parsed ones.
 */
const requireLocalBrowser: Handler = async function requireLocalBrowser(ctx, next) {
  const headers = new Headers();
  const { rawHeaders, socket } = ctx.req;
  for (let n = 0; n < rawHeaders.length; n += 2) headers.append(rawHeaders[n]!, rawHeaders[n + 1]!);
  const isForwarded = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'via'].some((name) => headers.has(name));
  const requestedHost = URL.parse(`http://${headers.get('host') ?? ''}`)?.hostname ?? '';
  const isLocal = isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''));
  if (isForwarded || !isLocal || !isLoopback(requestedHost)) throw notFound();
  await next();
};

function splitAtLinks(text: string): { text: string; href?: string }[] {
  return text.split(/(https?:\/\/\S+)/).map((part, n) => (n % 2 ? { text: part, href: part } : { text: part }));
}
