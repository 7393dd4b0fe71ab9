/**
 * Listens to the events of oidc-provider to log, to audit and to improve error responses. An error
 * in a listener would become the response, so listeners never throw, and never return a promise.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { BOUND_EXCEEDED, boundOf, isInvalidText, isStoreUnavailable } from '../../../base/app-error.js';
import type { Log } from '../../../base/log.js';
import { CIBA_GRANT, TOKEN_EXCHANGE_GRANT } from '../../../core/agents/client.js';
import { ANONYMOUS, type Audit } from '../../../core/audit/audit.js';
import { DEVICE_GRANT } from '../../../core/clients/metadata.js';
import type { ClientUsage } from '../../../core/clients/usage.js';
import { redactPath } from '../../http/access-log.js';
import { bodyTooLarge } from '../../http/body.js';
import { createResponseErrorLogger } from '../../http/response-errors.js';
import { MAX_BODY_BYTES } from '../paths.js';
import type { ProviderError } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';
import { isUnverified } from '../storage/client-origin.js';

type ErrorListener = (ctx: KoaContextWithOIDC, error: ProviderError) => void;

interface Deps {
  audit: Audit;
  clientUsage: Pick<ClientUsage, 'record'>;
  log: Log;
}

const KNOWN_GRANTS = new Set([
  'authorization_code',
  'refresh_token',
  'client_credentials',
  DEVICE_GRANT,
  CIBA_GRANT,
  TOKEN_EXCHANGE_GRANT,
]);
/** Expected responses to a client that polls. They are not failures. */
const PENDING_ERRORS = new Set(['authorization_pending', 'slow_down']);

const ERROR_EVENTS = [
  'authorization.error',
  'backchannel_authentication.error',
  'device_authorization.error',
  'grant.error',
  'introspection.error',
  'pushed_authorization_request.error',
  'registration_create.error',
  'registration_read.error',
  'registration_update.error',
  'registration_delete.error',
  'revocation.error',
  'userinfo.error',
  'end_session.error',
  'end_session_confirm.error',
  'code_verification.error',
  'device_resume.error',
];

/** Registers all listeners with a provider. */
export function addEventListeners(provider: Provider, { audit, clientUsage, log }: Deps): void {
  /** Registers a listener. Logs an error that it throws. */
  function on<Args extends unknown[]>(event: string, listener: (...args: Args) => void): void {
    provider.on(event as never, (...args: unknown[]) => {
      try {
        listener(...(args as Args));
      } catch (error) {
        log.error({ error, event }, 'an event listener failed');
      }
    });
  }

  for (const event of ['authorization.success', 'grant.success']) {
    on(event, ({ oidc }: KoaContextWithOIDC) => oidc.client && clientUsage.record(oidc.client.clientId));
  }

  on('grant.error', (ctx: KoaContextWithOIDC, error: ProviderError) => {
    if (PENDING_ERRORS.has(error.message)) return;
    const { client, params } = ctx.oidc;
    audit.recordSoon('token.denied', {
      by: client ? { kind: 'client', id: client.clientId } : ANONYMOUS,
      clientId: client?.clientId,
      meta: metaFrom(ctx),
      detail: {
        grant_type: KNOWN_GRANTS.has(String(params?.grant_type)) ? String(params?.grant_type) : 'other',
        error: error.error ?? error.message,
        reason: detailOf(error) ?? '',
      },
    });
  });

  const handleFailure: ErrorListener = (ctx, error) => {
    log.info(
      {
        error: error.message,
        detail: detailOf(error),
        path: redactPath(ctx.path),
        requestId: metaFrom(ctx).requestId,
      },
      'an OAuth request failed',
    );
    const bound = boundOf(error) ?? (isTooLarge(error) ? 'body' : undefined);
    if (bound) log.info({ bound, path: redactPath(ctx.path), requestId: metaFrom(ctx).requestId }, BOUND_EXCEEDED);
    respondTooLarge(ctx, error);
    respondUnauthorizedClient(ctx, error);
  };
  for (const event of ERROR_EVENTS) on(event, handleFailure);

  on('authorization.error', suppressErrorRedirect);

  on('error', createResponseErrorLogger(log));

  on('server_error', (ctx: KoaContextWithOIDC, error: ProviderError) => {
    if (isInvalidText(error)) {
      respondInvalidText(ctx);
      return handleFailure(ctx, error);
    }
    log.error({ error, path: redactPath(ctx.path), requestId: metaFrom(ctx).requestId }, 'oidc-provider failed');
    if (isStoreUnavailable(error)) respondUnavailable(ctx);
  });
}

/** Returns the detail for the log. Omits details of parse errors: they quote the input. */
const detailOf = ({ error_detail: detail }: ProviderError) => (/JSON|token/i.test(detail ?? '') ? undefined : detail);

/**
 * Shows an error page instead of redirecting to an unverified client before the user has signed in
 * (RFC 9700, 4.11.2). Otherwise an attacker could use this server as an open redirector. The page
 * has a link to the redirect URI.
 */
function suppressErrorRedirect(ctx: KoaContextWithOIDC, error: ProviderError): void {
  const { client, route, params, session } = ctx.oidc;
  if (!client || !isUnverified(client) || route !== 'authorization' || session?.accountId) return;
  if ((params?.prompt ?? ctx.query.prompt) !== 'none') error.allow_redirect = false;
}

/** Responds 400 to text that the database cannot store, such as a NUL character. */
function respondInvalidText(ctx: KoaContextWithOIDC): void {
  ctx.status = 400;
  if (ctx.type === 'text/html') return;
  ctx.body = { error: 'invalid_request', error_description: 'The request contains a character that is not allowed.' };
}

/** Responds 503 when a store is unavailable, with the error code of RFC 6749, 4.1.2.1. */
function respondUnavailable(ctx: KoaContextWithOIDC): void {
  ctx.status = 503;
  ctx.set('Retry-After', '5');
  if (ctx.type === 'text/html') return;
  ctx.body = { error: 'temporarily_unavailable', error_description: 'Try again in a moment.' };
}

/** Reports whether oidc-provider rejected a body because of its size. */
const isTooLarge = ({ cause }: ProviderError) => (cause as Error | undefined)?.message === 'request entity too large';

/** Responds 413 to a body that is too large; oidc-provider responds 400. */
function respondTooLarge(ctx: KoaContextWithOIDC, error: ProviderError): void {
  if (!isTooLarge(error)) return;
  ctx.status = 413;
  ctx.set('Connection', 'close');
  ctx.body = { error: 'payload_too_large', error_description: bodyTooLarge(MAX_BODY_BYTES) };
}

/**
 * Responds `unauthorized_client` to a grant type that the client is not registered for (RFC 6749,
 * 5.2); oidc-provider responds `invalid_request`.
 */
function respondUnauthorizedClient(
  ctx: KoaContextWithOIDC,
  { message, error_description: description }: ProviderError,
): void {
  if (message !== 'invalid_request' || !description?.endsWith(' is not allowed for this client')) return;
  ctx.body = { error: 'unauthorized_client', error_description: description };
}
