/** The result of authentication, and the part of a request that it reads. */
import type { AuthError } from './auth-error.js';

/** The part of a Web `Request` that the kit reads. The adapters create it from other requests. */
export interface RequestLike {
  method: string;
  /** Absolute. */
  url: string;
  headers: { get(name: string): string | null };
  /** The IP address of the peer of the connection, if the adapter knows it. */
  peer?: string;
}

/**
 * How a caller was authenticated. `session`, `api-key`: by a session cookie or an API key of this
 * service. `access-token`, `login`: by an access token or a first-party login of Signet.
 * `introspected`: Signet verified the credential. `workload`: by the certificate of a workload.
 */
export type Proof = 'session' | 'api-key' | 'access-token' | 'login' | 'introspected' | 'workload';
export type ToolLevel = 'read' | 'write' | 'admin';

interface AuthenticatedBase {
  isAuthenticated: true;
  via: Proof;
  /** Whether the credential was a cookie. Browsers send it automatically, so use `csrfProtect`. */
  byCookie?: boolean;
  /** The scopes of an access token. */
  scopes?: string[];
  clientId?: string;
  /** The access level at the `tool` of the verifier. Null: no access. */
  level?: ToolLevel | null;
  expiresAt?: Date;
  /** The thumbprint of the key in the DPoP proof (RFC 9449). */
  jkt?: string;
  /** All claims of the token, or what Signet returned about the key or client. */
  claims?: Record<string, unknown>;
}

export interface HumanContext extends AuthenticatedBase {
  type: 'human';
  userId: string;
  email?: string;
  name?: string;
  role?: string;
}

export interface AgentContext extends AuthenticatedBase {
  type: 'agent';
  /** An id, or the SPIFFE ID of a workload. */
  agentId: string;
  agentName?: string;
  permissions: string[];
  /** The user that the agent acts for (RFC 8693), if any. */
  onBehalfOf?: string;
}

export interface AnonymousContext {
  type: 'anonymous';
  isAuthenticated: false;
  /** The error to respond with if a credential was rejected. Absent if none was sent. */
  error?: AuthError;
}

export type AuthContext = HumanContext | AgentContext | AnonymousContext;
export type Authenticated = HumanContext | AgentContext;

/**
 * Authenticates a request. Resolves to an anonymous context with an `error` if the credential is
 * invalid. Rejects if it cannot be verified now.
 */
export type ResolveAuth = (request: RequestLike) => Promise<AuthContext>;

/**
 * Returns an anonymous context. The error is not enumerable, so that logging, comparing or sending
 * the context includes only `{ type, isAuthenticated }`.
 */
export function anonymous(error?: AuthError): AnonymousContext {
  const context: AnonymousContext = { type: 'anonymous', isAuthenticated: false };
  return error ? Object.defineProperty(context, 'error', { value: error, enumerable: false }) : context;
}
