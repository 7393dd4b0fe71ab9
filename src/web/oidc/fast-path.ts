/**
 * Programs ask a few addresses many times a second. Where such a request is an ordinary one, it
 * goes straight to the provider: pinned, logged and dressed as every other, but past routes and
 * pages. Whatever is not ordinary goes the long way, and is refused there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../base/log.js';
import type { LogRequest } from '../http/access-log.js';
import { hasSeveralAuthorizations } from '../http/authorization-header.js';
import type { ApplySecurityHeaders } from '../http/security-headers.js';
import type { ResolveRequestMeta } from '../http/trusted-proxy.js';
import type { ClientAuthThrottle } from './client-auth-throttle.js';
import { MAX_BODY_BYTES, ROUTES, TOKEN_ALIAS } from './paths.js';
import type { Providers, RequestHandler } from './provider/provider.js';

interface Deps {
  providers: Providers;
  clientAuthThrottle: ClientAuthThrottle;
  resolveRequestMeta: ResolveRequestMeta;
  logRequest: LogRequest;
  applySecurityHeaders: ApplySecurityHeaders;
  log: Log;
}

interface Way {
  answer: RequestHandler;
  fallback: RequestHandler;
  /** Whether a secret can be guessed there. */
  guessable: boolean;
}

/** By method and address, to the letter: with a query it is not an ordinary one. */
const ADDRESSES = new Map<string, Pick<Way, 'guessable'>>([
  ...[ROUTES.token, TOKEN_ALIAS, ROUTES.introspection, ROUTES.revocation].map(
    (path) => [`POST ${path}`, { guessable: true }] as const,
  ),
  [`GET ${ROUTES.userinfo}`, { guessable: false }],
  [`POST ${ROUTES.userinfo}`, { guessable: false }],
]);

export function createFastPath({
  providers,
  clientAuthThrottle,
  resolveRequestMeta,
  logRequest,
  applySecurityHeaders,
  log,
}: Deps) {
  return { tryHandle };

  /**
   * Answers an ordinary request. False, and nothing has happened, when it is none: then it goes the
   * long way.
   */
  function tryHandle(req: IncomingMessage, res: ServerResponse, fallback: RequestHandler): boolean {
    const address = ADDRESSES.get(`${req.method} ${req.url}`);
    const current = address && isEligible(req) && providers.ready();
    if (!current) return false;
    const answer = req.url === TOKEN_ALIAS ? current.handleAlias : current.handleMain;
    go(req, res, { answer, fallback, ...address }).catch((error) => {
      log.error({ error }, 'failed');
      res.destroy();
    });
    return true;
  }

  async function go(req: IncomingMessage, res: ServerResponse, { answer, fallback, guessable }: Way): Promise<void> {
    const meta = resolveRequestMeta(req, res);
    const key = guessable ? clientAuthThrottle.keyFor(meta.address, req.headers.authorization) : undefined;
    if (key && (await clientAuthThrottle.isExceeded(key))) return fallback(req, res);
    const path = req.url ?? '';
    logRequest({ method: req.method, path }, res, meta);
    applySecurityHeaders(path, res);
    await answer(req, res);
    if (key) await clientAuthThrottle.count(key, res.statusCode);
  }
}

/** Nothing about it would be refused before the provider reads it. */
function isEligible(req: IncomingMessage): boolean {
  const { headers } = req;
  const tryConsume =
    headers['content-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= MAX_BODY_BYTES;
  return tryConsume && !hasSeveralAuthorizations(req);
}
