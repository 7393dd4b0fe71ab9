-- DropIndex
DROP INDEX "Approval_accountId_idx";

-- DropIndex
DROP INDEX "Permission_toolId_idx";

-- DropIndex
DROP INDEX "Project_organizationId_idx";

-- DropIndex
DROP INDEX "Session_accountId_idx";

-- CreateIndex
CREATE INDEX "ApiKey_accountId_revokedAt_createdAt_id_idx" ON "ApiKey"("accountId", "revokedAt", "createdAt", "id");

-- CreateIndex
CREATE INDEX "Approval_accountId_createdAt_id_idx" ON "Approval"("accountId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "Consent_accountId_createdAt_id_idx" ON "Consent"("accountId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "Permission_toolId_id_idx" ON "Permission"("toolId", "id");

-- CreateIndex
CREATE INDEX "Project_organizationId_createdAt_id_idx" ON "Project"("organizationId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "Session_accountId_endedAt_lastSeenAt_id_idx" ON "Session"("accountId", "endedAt", "lastSeenAt", "id");
