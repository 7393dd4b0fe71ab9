-- AlterTable
ALTER TABLE "ResourceScope" ADD COLUMN     "capability" BOOLEAN NOT NULL DEFAULT false;

-- CreateTable
CREATE TABLE "Agent" (
    "id" TEXT NOT NULL,
    "organizationId" TEXT NOT NULL,
    "agentId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "capabilities" JSONB NOT NULL,
    "keyId" TEXT NOT NULL,
    "keyLookup" TEXT NOT NULL,
    "keyHash" TEXT NOT NULL,
    "ownerId" TEXT,
    "claimTokenHash" TEXT,
    "expiresAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "Agent_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "Agent_claimTokenHash_key" ON "Agent"("claimTokenHash");

-- CreateIndex
CREATE INDEX "Agent_keyLookup_idx" ON "Agent"("keyLookup");

-- CreateIndex
CREATE INDEX "Agent_ownerId_idx" ON "Agent"("ownerId");

-- CreateIndex
CREATE INDEX "Agent_expiresAt_idx" ON "Agent"("expiresAt");

-- CreateIndex
CREATE UNIQUE INDEX "Agent_organizationId_agentId_key" ON "Agent"("organizationId", "agentId");

-- AddForeignKey
ALTER TABLE "Agent" ADD CONSTRAINT "Agent_organizationId_fkey" FOREIGN KEY ("organizationId") REFERENCES "Organization"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Agent" ADD CONSTRAINT "Agent_ownerId_fkey" FOREIGN KEY ("ownerId") REFERENCES "Account"("id") ON DELETE SET NULL ON UPDATE CASCADE;
