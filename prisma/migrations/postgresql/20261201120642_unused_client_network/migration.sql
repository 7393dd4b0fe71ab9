-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "network" TEXT;

-- CreateIndex
CREATE INDEX "Client_network_idx" ON "Client"("network");
