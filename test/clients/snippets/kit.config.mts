// The configurations of the same documentation.
import { defineConfig, env } from "signet/kit";

export default defineConfig({
  app: { name: "my-app" },
  auth: {
    providers: [{ type: "apiKey" }],
    session: {
      strategy: "jwt",
      secret: env("SESSION_SECRET") || crypto.randomUUID(),
      maxAge: "7d",
    },
  },
});

export const limited = defineConfig({
  agent: {
    rateLimit: {
      default: { requests: 100, window: "1m" },
      perAgent: true, // Track limits per agent API key
    },
  },
});

export const bound = defineConfig({
  auth: {
    session: {
      strategy: "jwt",
      secret: env("SESSION_SECRET"),
      dpop: true, // Require DPoP proof on token-protected requests
    },
  },
});

export const workloads = defineConfig({
  auth: {
    workloadIdentity: {
      trustDomain: "example.org",
      trustedDomains: ["example.org", "partner.com"],
      certHeader: "X-Client-Cert",
    },
  },
});
