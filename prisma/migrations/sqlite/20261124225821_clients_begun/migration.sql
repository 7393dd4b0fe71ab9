-- AlterTable
ALTER TABLE "Client" ADD COLUMN "lastBegunAt" DATETIME;
