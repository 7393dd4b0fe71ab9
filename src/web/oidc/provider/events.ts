/**
 * What oidc-provider tells by its events: for the log and the audit trail. A listener here never
 * throws and never waits.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { isInvalidText, isStoreUnavailable } from '../../../base/app-error.js';
import type { Log } from '../../../base/log.js';
import { CIBA_GRANT, TOKEN_EXCHANGE_GRANT } from '../../../core/agents/client.js';
import type { Audit } from '../../../core/audit/audit.js';
import { DEVICE_GRANT } from '../../../core/clients/metadata.js';
import type { ClientUsage } from '../../../core/clients/usage.js';
import { createRecordAborted } from '../../http/aborted-responses.js';
import { withoutSecrets } from '../../http/access-log.js';
import type { ProviderError } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';
import { isUnverified } from '../storage/client-origin.js';

type FailureEvent = (ctx: KoaContextWithOIDC, error: ProviderError) => void;

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
/** Whoever polls is told so again and again: nothing was refused. */
const NOT_YET = new Set(['authorization_pending', 'slow_down']);

const FAILURES = [
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

export function listen(provider: Provider, { audit, clientUsage, log }: Deps): void {
  /** Whatever a listener throws would become the answer: it is logged instead. */
  function on<Args extends unknown[]>(event: string, listener: (...args: Args) => void): void {
    provider.on(event as never, (...args: unknown[]) => {
      try {
        listener(...(args as Args));
      } catch (error) {
        log.error({ error, event }, 'a listener failed');
      }
    });
  }

  for (const event of ['authorization.success', 'grant.success']) {
    on(event, ({ oidc }: KoaContextWithOIDC) => oidc.client && clientUsage.record(oidc.client.clientId));
  }

  on('grant.error', (ctx: KoaContextWithOIDC, error: ProviderError) => {
    if (NOT_YET.has(error.message)) return;
    const { client, params } = ctx.oidc;
    audit.recordSoon({
      action: 'token.denied',
      actor: client ? { kind: 'client', id: client.clientId } : { kind: 'anonymous' },
      clientId: client?.clientId,
      meta: metaFrom(ctx),
      detail: {
        grant_type: KNOWN_GRANTS.has(String(params?.grant_type)) ? String(params?.grant_type) : 'other',
        error: error.error ?? error.message,
        reason: error.error_detail ?? '',
      },
    });
  });

  const reportFailure: FailureEvent = (ctx, error) => {
    log.info(
      {
        error: error.message,
        detail: detailOf(error),
        path: withoutSecrets(ctx.path),
        requestId: metaFrom(ctx).requestId,
      },
      'the protocol request was refused',
    );
    rejectLongBody(ctx, error);
    reportUnsupportedGrant(ctx, error);
  };
  for (const event of FAILURES) on(event, reportFailure);

  on('authorization.error', holdBack);

  on('error', createRecordAborted(log));

  on('server_error', (ctx: KoaContextWithOIDC, error: Error) => {
    log.error(
      { error, path: withoutSecrets(ctx.path), requestId: metaFrom(ctx).requestId },
      'the protocol engine failed',
    );
    if (isStoreUnavailable(error)) setRetryAfter(ctx);
    else if (isInvalidText(error)) rejectInvalidText(ctx);
  });
}

/** What the parser of JSON says quotes what it could not parse: a secret, for one. */
const detailOf = ({ error_detail: detail }: ProviderError) => (/JSON|token/i.test(detail ?? '') ? undefined : detail);

/**
 * An app that nobody here has looked at is a stranger's: its errors lead nowhere until a person is
 * there (RFC 9700, 4.11.2). Otherwise a link to us would be a link to wherever the stranger likes.
 * The page that is shown instead has the way on.
 */
function holdBack(ctx: KoaContextWithOIDC, error: ProviderError): void {
  const { client, route, params, session } = ctx.oidc;
  if (!client || !isUnverified(client) || route !== 'authorization' || session?.accountId) return;
  if ((params?.prompt ?? ctx.query.prompt) !== 'none') error.allow_redirect = false;
}

/** Somebody sent a NUL character: that is no bug of ours. */
function rejectInvalidText(ctx: KoaContextWithOIDC): void {
  ctx.status = 400;
  if (ctx.type === 'text/html') return;
  ctx.body = { error: 'invalid_request', error_description: 'The request holds a character that is not allowed.' };
}

/**
 * A store does not answer: that is no bug, and later it may work (RFC 6749, 4.1.2.1 names the
 * error).
 */
function setRetryAfter(ctx: KoaContextWithOIDC): void {
  ctx.status = 503;
  ctx.set('Retry-After', '5');
  if (ctx.type === 'text/html') return;
  ctx.body = { error: 'temporarily_unavailable', error_description: 'Try again in a moment.' };
}

/** The provider answers 400 to a body that is too long; the right word is 413. */
function rejectLongBody(ctx: KoaContextWithOIDC, { cause }: ProviderError): void {
  if ((cause as Error | undefined)?.message !== 'request entity too large') return;
  ctx.status = 413;
  ctx.set('Connection', 'close');
  ctx.body = { error: 'payload_too_large', error_description: 'The body is too large.' };
}

/**
 * A grant type that exists but is not this client's: the provider calls the request invalid; RFC
 * 6749, 5.2 has a word of its own.
 */
function reportUnsupportedGrant(ctx: KoaContextWithOIDC, { message, error_description: why }: ProviderError): void {
  if (message !== 'invalid_request' || !why?.endsWith(' is not allowed for this client')) return;
  ctx.body = { error: 'unauthorized_client', error_description: why };
}
