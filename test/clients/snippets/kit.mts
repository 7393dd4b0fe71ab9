// A service that protects itself, as its documentation has it: only the name of the package was
// changed, and `db`, `eq`, `response`, `request` and `token` were given.
import { agentCredentials, db, eq, plaintextKey, request, response, storedHash } from "./stubs.mjs";

import { signSession } from "signet/kit";

const token = signSession(
  {
    userId: "user_123",
    email: "alice@example.com",
    role: "admin",
  },
  process.env.SESSION_SECRET!,
  "7d", // max age (optional, defaults to "7d")
);

// Set as cookie in response
response.headers.set(
  "Set-Cookie",
  `capstan_session=${token}; Path=/; HttpOnly; SameSite=Lax`,
);

import { verifySession } from "signet/kit";

const payload = verifySession(token, process.env.SESSION_SECRET!);
// Returns SessionPayload on success, null on failure
// Checks: HMAC-SHA256 signature, expiration

import { generateApiKey } from "signet/kit";

const { key, hash, prefix } = generateApiKey();
// key:    "cap_ak_a1b2c3d4e5f6..."  (show to user once, never store)
// hash:   "sha256hexdigest..."       (store in database)
// prefix: "cap_ak_a1b2c3d4"         (store for fast DB lookup)

import { verifyApiKey } from "signet/kit";

const isValid = await verifyApiKey(plaintextKey, storedHash);
// Returns boolean, uses timing-safe comparison

import { createAuthMiddleware } from "signet/kit";

const resolveAuth = createAuthMiddleware(
  {
    session: {
      secret: process.env.SESSION_SECRET!,
      maxAge: "7d",
    },
    apiKeys: {
      prefix: "cap_ak_",
      headerName: "Authorization",
    },
  },
  {
    findAgentByKeyPrefix: async (prefix) => {
      return db.query.agentCredentials.findFirst({
        where: eq(agentCredentials.apiKeyPrefix, prefix),
      });
    },
  },
);

const authContext = await resolveAuth(request);
// authContext.isAuthenticated: boolean
// authContext.type: "human" | "agent" | "anonymous"

import {
  googleProvider,
  githubProvider,
  createOAuthHandlers,
} from "signet/kit";

const oauthHandlers = createOAuthHandlers({
  providers: [
    googleProvider({
      clientId: process.env.GOOGLE_CLIENT_ID!,
      clientSecret: process.env.GOOGLE_CLIENT_SECRET!,
    }),
    githubProvider({
      clientId: process.env.GITHUB_CLIENT_ID!,
      clientSecret: process.env.GITHUB_CLIENT_SECRET!,
    }),
  ],
  callbackPath: "/auth/callback",
  sessionSecret: process.env.SESSION_SECRET!,
});

import { defineRateLimit } from "signet/kit";

export const apiLimits = defineRateLimit({
  default: { requests: 100, window: "1m" },
  perAuthType: {
    anonymous: { requests: 20, window: "1m" },
    human: { requests: 200, window: "1m" },
    agent: { requests: 1000, window: "1m" },
  },
});

import { definePolicy } from "signet/kit";

// Require any authenticated user
export const requireAuth = definePolicy({
  key: "requireAuth",
  title: "Require Authentication",
  effect: "deny",
  async check({ ctx }) {
    if (!ctx.auth.isAuthenticated) {
      return { effect: "deny", reason: "Authentication required" };
    }
    return { effect: "allow" };
  },
});

// Require human approval for agent write actions
export const agentApproval = definePolicy({
  key: "agentApproval",
  title: "Agent Approval Required",
  effect: "approve",
  async check({ ctx }) {
    if (ctx.auth.type === "agent") {
      return {
        effect: "approve",
        reason: "Agent write actions require human approval",
      };
    }
    return { effect: "allow" };
  },
});

import { defineAPI } from "signet/kit";

export const DELETE = defineAPI({
  capability: "write",
  resource: "ticket",
  policy: "requireAuth",
  async handler({ ctx }) {
    // Only runs if policy allows
    return { deleted: true };
  },
});

import { checkPermission } from "signet/kit";

// Exact match
checkPermission({ resource: "ticket", action: "read" }, ["ticket:read"]);
// true

// Wildcard resource
checkPermission({ resource: "ticket", action: "write" }, ["*:write"]);
// true

// Wildcard action
checkPermission({ resource: "ticket", action: "delete" }, ["ticket:*"]);
// true

// Superuser
checkPermission({ resource: "ticket", action: "delete" }, ["*:*"]);
// true

export { token, payload, key, hash, prefix, isValid, resolveAuth, authContext, oauthHandlers };
