-- AlterTable
ALTER TABLE "Account" ADD COLUMN "emailVerifiedAt" DATETIME;
