-- CreateTable
CREATE TABLE "KeptTokens" (
    "identityId" TEXT NOT NULL PRIMARY KEY,
    "sealedAccess" TEXT NOT NULL,
    "sealedRefresh" TEXT,
    "expiresAt" DATETIME,
    "renewingBy" TEXT,
    "renewingUntil" DATETIME,
    CONSTRAINT "KeptTokens_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "FederatedIdentity" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
