-- AlterTable
ALTER TABLE "Account" ADD COLUMN     "expiresUnverified" BOOLEAN NOT NULL DEFAULT false;

-- CreateIndex
CREATE INDEX "Account_expiresUnverified_emailVerified_createdAt_idx" ON "Account"("expiresUnverified", "emailVerified", "createdAt");
