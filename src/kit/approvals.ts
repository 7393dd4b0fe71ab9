/**
 * Asks a user for approval before an action. Signet shows the request on the user's account page
 * (CIBA, poll mode). At Signet, the service is an agent that the user owns. It can read the
 * decision only once.
 */
import { IssuerUnavailable } from './auth-error.js';
import { constantTimeEqual, hmacSha256 } from './bytes.js';
import { createJsonReader, discover, type IssuerOptions, secureUrl } from './issuer.js';

export interface ApprovalRequest {
  /** The user to ask: their e-mail address at Signet. */
  person: string;
  /** The text that the user reads. Truncated to 100 characters, ending in an ellipsis. */
  message: string;
  /** Additional values that the user reads, by name. Truncated to 200 characters each. */
  details?: Record<string, string>;
  /** Identifies exactly what is approved, and for whom. An approval is valid for nothing else. */
  action: string;
}

export interface PendingApproval {
  /** Identifies the request in `check`. Not secret, and useless for another action. */
  id: string;
  expiresInSeconds: number;
  /** The minimum time between two calls of `check`. */
  intervalSeconds: number;
}

export type ApprovalState = 'approved' | 'pending' | 'denied' | 'expired';

/** Asks users for approval. `createApprovalClient` implements it with Signet. */
export interface Approvals {
  /** Starts a request. Resolves to undefined if there is no such user. */
  begin(request: ApprovalRequest): Promise<PendingApproval | undefined>;
  /** Returns the state of a request. `approved` is returned once; it consumes the approval. */
  check(id: string, action: string): Promise<ApprovalState>;
}

export interface ApprovalClientOptions extends IssuerOptions {
  /** The client id of the agent, `agt_…`, and its key. */
  clientId: string;
  clientSecret: string;
  /** The API that the action belongs to, as registered at Signet, and the capabilities it needs. */
  resource: string;
  scope: string;
}

interface JsonResponse {
  status: number;
  body: Record<string, unknown>;
}

const GRANT_TYPE = 'urn:openid:params:grant-type:ciba';
const DEFAULT_INTERVAL_SECONDS = 5;
const TIMEOUT_MS = 5000;
/** The maximum lengths that Signet displays. */
const MAX_MESSAGE_LENGTH = 100;
const MAX_DETAIL_LENGTH = 200;
const PENDING_ERRORS = new Set(['authorization_pending', 'slow_down']);

/**
 * Creates a client that asks for approval at Signet. Its functions reject with `IssuerUnavailable`
 * if Signet does not respond, and with an Error if Signet rejects the client or the request.
 */
export function createApprovalClient(options: ApprovalClientOptions): Approvals {
  const { clientId, clientSecret, resource, scope, fetch: request = fetch } = options;
  const issuer = secureUrl(options.issuer);
  if (!clientSecret) throw new TypeError('The approval client needs a secret');
  let endpoints: { authentication: string; token: string } | undefined;

  return { begin, check };

  async function begin({ person, message, details, action }: ApprovalRequest): Promise<PendingApproval | undefined> {
    const displayedMessage = truncate(message, MAX_MESSAGE_LENGTH);
    const { status, body } = await post('authentication', {
      scope: `openid ${scope}`,
      resource,
      login_hint: person,
      binding_message: displayedMessage,
      authorization_details: JSON.stringify([
        { type: 'agent_action', actions: [displayedMessage], ...(details && { parameters: truncateAll(details) }) },
      ]),
    });
    if (body.error === 'unknown_user_id') return undefined;
    const { auth_req_id: requestId, expires_in: expiresInSeconds, interval = DEFAULT_INTERVAL_SECONDS } = body;
    if (status !== 200 || typeof requestId !== 'string') throw toError(body);
    return {
      id: `${requestId}.${signatureOf(requestId, action)}`,
      expiresInSeconds: Number(expiresInSeconds),
      intervalSeconds: Number(interval),
    };
  }

  async function check(id: string, action: string): Promise<ApprovalState> {
    const dot = id.lastIndexOf('.');
    const requestId = id.slice(0, Math.max(dot, 0));
    if (!requestId || !constantTimeEqual(id.slice(dot + 1), signatureOf(requestId, action))) return 'denied';
    const { status, body } = await post('token', { grant_type: GRANT_TYPE, auth_req_id: requestId });
    if (status === 200) return 'approved'; // the tokens in the response are not used
    if (PENDING_ERRORS.has(String(body.error))) return 'pending';
    if (body.error === 'access_denied') return 'denied';
    if (body.error === 'expired_token' || body.error === 'invalid_grant') return 'expired';
    throw toError(body);
  }

  /** Signs a request id together with its action, so that neither needs to be stored. */
  function signatureOf(requestId: string, action: string): string {
    return hmacSha256(clientSecret, `approval ${requestId} ${action}`);
  }

  async function post(endpoint: 'authentication' | 'token', form: Record<string, string>): Promise<JsonResponse> {
    endpoints ??= await findEndpoints();
    const url = endpoints[endpoint];
    try {
      const response = await request(url, {
        method: 'POST',
        redirect: 'manual',
        headers: { authorization: `Basic ${btoa(`${formEncode(clientId)}:${formEncode(clientSecret)}`)}` },
        body: new URLSearchParams(form),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status >= 500 || response.status === 429) throw new Error(`Unexpected status ${response.status}`);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    } catch (cause) {
      throw new IssuerUnavailable(`${url} does not respond`, { cause });
    }
  }

  async function findEndpoints() {
    const document = await discover(issuer, createJsonReader(request));
    const { backchannel_authentication_endpoint: authentication, token_endpoint: token } = document;
    if (typeof authentication !== 'string' || typeof token !== 'string') {
      throw new Error(`${issuer} does not support approvals (CIBA)`);
    }
    return { authentication: secureUrl(authentication), token: secureUrl(token) };
  }
}

function truncateAll(details: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(details).map(([name, value]) => [name, truncate(value, MAX_DETAIL_LENGTH)]));
}

/** Truncates with an ellipsis, and never in the middle of a surrogate pair. */
function truncate(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  return `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Encodes the client id and secret for HTTP Basic (RFC 6749, 2.3.1). */
const formEncode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1);

const toError = ({ error, error_description: description = '' }: Record<string, unknown>) =>
  new Error(`Signet rejected the approval request: ${String(error)} ${String(description)}`.trim());
