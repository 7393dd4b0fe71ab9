-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "documentFreshUntil" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "Resource" ADD COLUMN     "openToAllClients" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "openToUnclaimedAgents" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "ResourceScope" ADD COLUMN     "byDefault" BOOLEAN NOT NULL DEFAULT true;

-- CreateTable
CREATE TABLE "ResourceClient" (
    "resourceId" TEXT NOT NULL,
    "clientId" TEXT NOT NULL,

    CONSTRAINT "ResourceClient_pkey" PRIMARY KEY ("resourceId","clientId")
);

-- CreateIndex
CREATE INDEX "ResourceClient_clientId_idx" ON "ResourceClient"("clientId");

-- CreateIndex
CREATE INDEX "Client_origin_lastUsedAt_idx" ON "Client"("origin", "lastUsedAt");

-- AddForeignKey
ALTER TABLE "ResourceClient" ADD CONSTRAINT "ResourceClient_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES "Resource"("id") ON DELETE CASCADE ON UPDATE CASCADE;
