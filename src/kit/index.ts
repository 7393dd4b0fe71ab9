/**
 * `signet/kit`: authentication and authorization for services. It uses only Signet's public
 * protocols, and no other code of Signet.
 */
export {
  APPROVAL_HEADER,
  type ApiContext,
  type ApiDefinition,
  defineAPI,
  type ServeOptions,
  serveAPI,
} from './api.js';
export { apiKeyLookup, type GeneratedApiKey, generateApiKey, verifyApiKey } from './api-key.js';
export {
  type ApprovalClientOptions,
  type ApprovalRequest,
  type ApprovalState,
  type Approvals,
  createApprovalClient,
  type PendingApproval,
} from './approvals.js';
export { type AuthError, errorResponse, IssuerUnavailable } from './auth-error.js';
export {
  type AgentCredential,
  type AuthConfig,
  type AuthDependencies,
  createAuthMiddleware,
} from './auth-middleware.js';
export { defineConfig, env, type KitConfig } from './config.js';
export type {
  AgentContext,
  AnonymousContext,
  AuthContext,
  HumanContext,
  Proof,
  RequestLike,
  ResolveAuth,
  ToolLevel,
} from './context.js';
export { type CsrfOptions, csrfProtect } from './csrf.js';
export { createDpopNonces, type DpopNonces } from './dpop-nonces.js';
export { parseDuration } from './duration.js';
export { createOAuthHandlers, type OAuthHandlersOptions, type SignedIn } from './oauth/handlers.js';
export { githubProvider, googleProvider, type OAuthProfile, type OAuthProvider } from './oauth/providers.js';
export { checkPermission, hasScope, type RequiredPermission } from './permissions.js';
export {
  definePolicy,
  type Effect,
  enforcePolicies,
  type Policy,
  type PolicyContext,
  type PolicyDecision,
  type PolicyInput,
  type PolicyVerdict,
} from './policies.js';
export { type BoundRequest, type DpopOptions, type DpopResult, dpopRequired, verifyDpop } from './possession.js';
export { type Admission, type AuthResult, createAdmission, type Rules } from './protect.js';
export {
  type Count,
  createMemoryRateLimitStore,
  defineRateLimit,
  type RateLimit,
  type RateLimitConfig,
  type RateLimiter,
  type RateLimitResult,
  type RateLimitStore,
} from './rate-limit.js';
export { createRemoteVerifier, type RemoteVerifier, type RemoteVerifierOptions } from './remote-verifier.js';
export { createMemoryReplayStore, type ReplayStore } from './replay-store.js';
export { type SessionPayload, signSession, verifySession } from './session.js';
export { parseSpiffeId, type SpiffeId } from './spiffe-id.js';
export { createWorkloadVerifier, type WorkloadIdentityOptions } from './workload-identity.js';
