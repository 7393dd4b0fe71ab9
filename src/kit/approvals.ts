/**
 * Asking a person before something is done. Signet shows them the question on their account's page
 * (CIBA, poll mode), and this service, an agent of Signet for which that person answers, learns the
 * answer once.
 */

import { IssuerUnavailable } from './auth-error.js';
import { constantTimeEqual, hmacSha256 } from './bytes.js';
import { createJsonReader, discover, type IssuerOptions, secureUrl } from './issuer.js';

export interface ApprovalRequest {
  /** Whom to ask: their e-mail address at Signet. */
  person: string;
  /**
   * What they read: 100 characters of it. Of what is longer the beginning, with three dots at its
   * end.
   */
  message: string;
  /** What else they read, by name: 200 characters of each. */
  details?: Record<string, string>;
  /** What exactly is approved, and for whom. An approval counts for nothing else. */
  action: string;
}

export interface PendingApproval {
  /** To come back with. No secret, and of no use for another action. */
  id: string;
  expiresInSeconds: number;
  /** How long to wait between two questions. */
  intervalSeconds: number;
}

export type ApprovalState = 'approved' | 'pending' | 'denied' | 'expired';

/** Any way to ask a person; `createApprovalClient` is the one that asks by Signet. */
export interface Approvals {
  /** Undefined when there is nobody of that name to be asked. */
  begin(request: ApprovalRequest): Promise<PendingApproval | undefined>;
  /** `approved` is said once: then the approval is spent. */
  check(id: string, action: string): Promise<ApprovalState>;
}

export interface ApprovalClientOptions extends IssuerOptions {
  /** `agt_…`, and the key of the agent. */
  clientId: string;
  clientSecret: string;
  /**
   * The API of which something is to be allowed, as it is registered at Signet, and the
   * capabilities that it takes.
   */
  resource: string;
  scope: string;
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

const GRANT_TYPE = 'urn:openid:params:grant-type:ciba';
const INTERVAL_SECONDS = 5;
const TIMEOUT_MS = 5000;
/** What Signet shows of each. */
const MAX_MESSAGE_LENGTH = 100;
const MAX_DETAIL_LENGTH = 200;
const PENDING = new Set(['authorization_pending', 'slow_down']);

/**
 * Rejects with IssuerUnavailable when Signet does not answer, and with an Error when it does not
 * take this client or its question.
 */
export function createApprovalClient(options: ApprovalClientOptions): Approvals {
  const { clientId, clientSecret, resource, scope, fetch: ask = fetch } = options;
  const issuer = secureUrl(options.issuer);
  if (!clientSecret) throw new TypeError('The client that asks for approvals needs a secret');
  let endpoints: { ask: string; token: string } | undefined;

  return { begin, check };

  async function begin({ person, message, details, action }: ApprovalRequest): Promise<PendingApproval | undefined> {
    const shown = shortened(message, MAX_MESSAGE_LENGTH);
    const { status, body } = await post('ask', {
      scope: `openid ${scope}`,
      resource,
      login_hint: person,
      binding_message: shown,
      authorization_details: JSON.stringify([
        { type: 'agent_action', actions: [shown], ...(details && { parameters: allShortened(details) }) },
      ]),
    });
    if (body.error === 'unknown_user_id') return undefined;
    const { auth_req_id: requestId, expires_in: expiresInSeconds, interval = INTERVAL_SECONDS } = body;
    if (status !== 200 || typeof requestId !== 'string') throw refusedBy(body);
    return {
      id: `${requestId}.${seal(requestId, action)}`,
      expiresInSeconds: Number(expiresInSeconds),
      intervalSeconds: Number(interval),
    };
  }

  async function check(id: string, action: string): Promise<ApprovalState> {
    const at = id.lastIndexOf('.');
    const requestId = id.slice(0, Math.max(at, 0));
    if (!requestId || !constantTimeEqual(id.slice(at + 1), seal(requestId, action))) return 'denied';
    const { status, body } = await post('token', { grant_type: GRANT_TYPE, auth_req_id: requestId });
    if (status === 200) return 'approved'; // its tokens are for nobody: this was the question, and it is answered
    if (PENDING.has(String(body.error))) return 'pending';
    if (body.error === 'access_denied') return 'denied';
    if (body.error === 'expired_token' || body.error === 'invalid_grant') return 'expired';
    throw refusedBy(body);
  }

  function seal(requestId: string, action: string): string {
    return hmacSha256(clientSecret, `approval ${requestId} ${action}`);
  }

  async function post(endpoint: 'ask' | 'token', form: Record<string, string>): Promise<Answer> {
    endpoints ??= await findEndpoints();
    const url = endpoints[endpoint];
    try {
      const response = await ask(url, {
        method: 'POST',
        redirect: 'manual',
        headers: { authorization: `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}` },
        body: new URLSearchParams(form),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status >= 500 || response.status === 429) throw new Error(`it answers ${response.status}`);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    } catch (cause) {
      throw new IssuerUnavailable(`${url} does not answer`, { cause });
    }
  }

  async function findEndpoints() {
    const document = await discover(issuer, createJsonReader(ask));
    const { backchannel_authentication_endpoint: asking, token_endpoint: token } = document;
    if (typeof asking !== 'string' || typeof token !== 'string') throw new Error(`${issuer} asks nobody for approvals`);
    return { ask: secureUrl(asking), token: secureUrl(token) };
  }
}

function allShortened(details: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(details).map(([name, value]) => [name, shortened(value, MAX_DETAIL_LENGTH)]),
  );
}

/** Not to half a character, and so that it is seen. */
function shortened(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  return `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** As RFC 6749 (2.3.1) wants both halves of Basic. */
const encode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1);

const refusedBy = ({ error, error_description: why = '' }: Record<string, unknown>) =>
  new Error(`Signet refuses to ask for this approval: ${String(error)} ${String(why)}`.trim());
