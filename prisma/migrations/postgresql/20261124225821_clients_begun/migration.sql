-- AlterTable
ALTER TABLE "Client" ADD COLUMN     "lastBegunAt" TIMESTAMPTZ(3);
