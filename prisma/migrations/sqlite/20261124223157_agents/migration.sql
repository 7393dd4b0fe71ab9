-- CreateTable
CREATE TABLE "Agent" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "organizationId" TEXT NOT NULL,
    "agentId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "capabilities" JSONB NOT NULL,
    "keyId" TEXT NOT NULL,
    "keyLookup" TEXT NOT NULL,
    "keyHash" TEXT NOT NULL,
    "ownerId" TEXT,
    "claimTokenHash" TEXT,
    "expiresAt" DATETIME,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" DATETIME NOT NULL,
    CONSTRAINT "Agent_organizationId_fkey" FOREIGN KEY ("organizationId") REFERENCES "Organization" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "Agent_ownerId_fkey" FOREIGN KEY ("ownerId") REFERENCES "Account" ("id") ON DELETE SET NULL ON UPDATE CASCADE
);

-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_ResourceScope" (
    "resourceId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "byDefault" BOOLEAN NOT NULL DEFAULT true,
    "capability" BOOLEAN NOT NULL DEFAULT false,

    PRIMARY KEY ("resourceId", "name"),
    CONSTRAINT "ResourceScope_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES "Resource" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
INSERT INTO "new_ResourceScope" ("byDefault", "description", "name", "resourceId") SELECT "byDefault", "description", "name", "resourceId" FROM "ResourceScope";
DROP TABLE "ResourceScope";
ALTER TABLE "new_ResourceScope" RENAME TO "ResourceScope";
CREATE INDEX "ResourceScope_name_idx" ON "ResourceScope"("name");
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;

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
