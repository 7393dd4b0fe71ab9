-- Renames tables, columns and stored values to the vocabulary of the protocols. No data is lost.

-- Columns
ALTER TABLE "Client" RENAME COLUMN "lastBegunAt" TO "lastAuthorizationAt";
ALTER TABLE "ApiKey" RENAME COLUMN "lookup" TO "prefix";
ALTER TABLE "Agent" RENAME COLUMN "keyLookup" TO "keyPrefix";
ALTER TABLE "Approval" RENAME COLUMN "asked" TO "request";
ALTER TABLE "KeptTokens" RENAME COLUMN "renewingBy" TO "leaseHolder";
ALTER TABLE "KeptTokens" RENAME COLUMN "renewingUntil" TO "leaseExpiresAt";

-- Tables
ALTER TABLE "Change" RENAME TO "CacheVersion";
ALTER TABLE "VerificationToken" RENAME TO "OneTimeToken";
ALTER TABLE "Artifact" RENAME TO "OidcArtifact";
ALTER TABLE "KeptTokens" RENAME TO "StoredTokens";

-- Indexes and constraints
ALTER INDEX "ApiKey_lookup_idx" RENAME TO "ApiKey_prefix_idx";
ALTER INDEX "Agent_keyLookup_idx" RENAME TO "Agent_keyPrefix_idx";
ALTER INDEX "VerificationToken_accountId_idx" RENAME TO "OneTimeToken_accountId_idx";
ALTER INDEX "VerificationToken_expiresAt_idx" RENAME TO "OneTimeToken_expiresAt_idx";
ALTER INDEX "Artifact_uid_idx" RENAME TO "OidcArtifact_uid_idx";
ALTER INDEX "Artifact_userCode_idx" RENAME TO "OidcArtifact_userCode_idx";
ALTER INDEX "Artifact_expiresAt_idx" RENAME TO "OidcArtifact_expiresAt_idx";
ALTER TABLE "CacheVersion" RENAME CONSTRAINT "Change_pkey" TO "CacheVersion_pkey";
ALTER TABLE "OneTimeToken" RENAME CONSTRAINT "VerificationToken_pkey" TO "OneTimeToken_pkey";
ALTER TABLE "OneTimeToken" RENAME CONSTRAINT "VerificationToken_accountId_fkey" TO "OneTimeToken_accountId_fkey";
ALTER TABLE "OidcArtifact" RENAME CONSTRAINT "Artifact_pkey" TO "OidcArtifact_pkey";
ALTER TABLE "StoredTokens" RENAME CONSTRAINT "KeptTokens_pkey" TO "StoredTokens_pkey";
ALTER TABLE "StoredTokens" RENAME CONSTRAINT "KeptTokens_identityId_fkey" TO "StoredTokens_identityId_fkey";

-- Stored values
UPDATE "AuditEvent" SET "action" = 'session.reauthenticated' WHERE "action" = 'session.proved_again';
UPDATE "AuditEvent" SET "action" = 'identity.token_accessed' WHERE "action" = 'identity.token_read';
UPDATE "AuditEvent" SET "action" = 'identity.token_discarded' WHERE "action" = 'identity.tokens_dropped';
UPDATE "AuditEvent" SET "action" = 'invitation.revoked' WHERE "action" = 'invitation.taken_back';
UPDATE "AuditEvent" SET "action" = 'setup.link_created' WHERE "action" = 'setup.link_made';
UPDATE "AuditEvent" SET "action" = 'consent.granted' WHERE "action" = 'consent.given';
UPDATE "AuditEvent" SET "action" = 'consent.denied' WHERE "action" = 'consent.refused';
UPDATE "AuditEvent" SET "action" = 'consent.revoked' WHERE "action" = 'consent.withdrawn';
UPDATE "AuditEvent" SET "action" = 'approval.approved' WHERE "action" = 'approval.given';
UPDATE "AuditEvent" SET "action" = 'approval.denied' WHERE "action" = 'approval.refused';
UPDATE "AuditEvent" SET "action" = 'client.removed_unused' WHERE "action" = 'client.reaped';
UPDATE "AuditEvent" SET "action" = 'token.denied' WHERE "action" = 'token.refused';
UPDATE "AuditEvent" SET "action" = 'mfa.recovery_codes_regenerated' WHERE "action" = 'mfa.recovery_codes_renewed';
UPDATE "AuditEvent" SET "action" = 'account.reactivated' WHERE "action" = 'account.reinstated';
UPDATE "Session" SET "endReason" = 'token_reuse' WHERE "endReason" = 'theft';
UPDATE "Session" SET "endReason" = 'mfa_changed' WHERE "endReason" = 'factors_changed';
