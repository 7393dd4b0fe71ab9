/** Who is behind a request, and what of a request is looked at to know. */
import type { AuthError } from './auth-error.js';

/** As much of a Web `Request` as the kit reads; adapters make one of what their framework has. */
export interface RequestLike {
  method: string;
  /** Absolute. */
  url: string;
  headers: { get(name: string): string | null };
  /** The address of whoever is at the other end of the connection, where an adapter knows it. */
  peer?: string;
}

/**
 * How it was proved: a session cookie or an API key of this service, an access token, a first-party
 * login or a credential that Signet was asked about, a certificate or a JWT of a workload.
 */
export type Proof = 'session' | 'api-key' | 'access-token' | 'login' | 'introspected' | 'workload';
export type ToolLevel = 'read' | 'write' | 'admin';

interface Proven {
  isAuthenticated: true;
  via: Proof;
  /** Came as a cookie, which a browser sends on its own: a change also needs `csrfProtect`. */
  byCookie?: boolean;
  /** Of an access token. */
  scopes?: string[];
  clientId?: string;
  /** What this credential may at the tool that the verifier was made for; null for nothing. */
  level?: ToolLevel | null;
  expiresAt?: Date;
  /** The thumbprint of the key whose possession was proved (RFC 9449). */
  jkt?: string;
  /** All that the token says, or what Signet says of the key or app behind it. */
  claims?: Record<string, unknown>;
}

export interface HumanContext extends Proven {
  type: 'human';
  userId: string;
  email?: string;
  name?: string;
  role?: string;
}

export interface AgentContext extends Proven {
  type: 'agent';
  /** An id, or the SPIFFE ID of a workload. */
  agentId: string;
  agentName?: string;
  permissions: string[];
  /** The person for whom it acts, when a person let it (RFC 8693). */
  onBehalfOf?: string;
}

export interface AnonymousContext {
  type: 'anonymous';
  isAuthenticated: false;
  /** A credential came and was refused: what to answer. Without one, nothing came. */
  refusal?: AuthError;
}

export type AuthContext = HumanContext | AgentContext | AnonymousContext;
export type Authenticated = HumanContext | AgentContext;

/**
 * Says who is behind a request. Rejects when that cannot be known now; a bad credential is an
 * anonymous with a refusal.
 */
export type ResolveAuth = (request: RequestLike) => Promise<AuthContext>;

/**
 * Nobody. Why is beside it and not in it: what is printed, compared or sent on is `{ type,
 * isAuthenticated }` and no more.
 */
export function anonymous(refusal?: AuthError): AnonymousContext {
  const nobody: AnonymousContext = { type: 'anonymous', isAuthenticated: false };
  return refusal ? Object.defineProperty(nobody, 'refusal', { value: refusal, enumerable: false }) : nobody;
}
