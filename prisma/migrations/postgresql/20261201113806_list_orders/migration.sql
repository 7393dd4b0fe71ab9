-- DropIndex
DROP INDEX "ApiKey_accountId_idx";

-- DropIndex
DROP INDEX "Membership_organizationId_idx";

-- CreateIndex
CREATE INDEX "Agent_organizationId_createdAt_id_idx" ON "Agent"("organizationId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "ApiKey_accountId_createdAt_id_idx" ON "ApiKey"("accountId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "Membership_organizationId_createdAt_accountId_idx" ON "Membership"("organizationId", "createdAt", "accountId");
