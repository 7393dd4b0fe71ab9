-- CreateTable
CREATE TABLE "KeptTokens" (
    "identityId" TEXT NOT NULL,
    "sealedAccess" TEXT NOT NULL,
    "sealedRefresh" TEXT,
    "expiresAt" TIMESTAMPTZ(3),
    "renewingBy" TEXT,
    "renewingUntil" TIMESTAMPTZ(3),

    CONSTRAINT "KeptTokens_pkey" PRIMARY KEY ("identityId")
);

-- AddForeignKey
ALTER TABLE "KeptTokens" ADD CONSTRAINT "KeptTokens_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "FederatedIdentity"("id") ON DELETE CASCADE ON UPDATE CASCADE;
