-- AlterTable
ALTER TABLE "Client" ADD COLUMN "documentFreshUntil" DATETIME;

-- CreateTable
CREATE TABLE "ResourceClient" (
    "resourceId" TEXT NOT NULL,
    "clientId" TEXT NOT NULL,

    PRIMARY KEY ("resourceId", "clientId"),
    CONSTRAINT "ResourceClient_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES "Resource" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_Resource" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "identifier" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "accessTokenFormat" TEXT NOT NULL DEFAULT 'jwt',
    "accessTokenTtlSeconds" INTEGER,
    "openToAllClients" BOOLEAN NOT NULL DEFAULT true,
    "openToUnclaimedAgents" BOOLEAN NOT NULL DEFAULT false,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" DATETIME NOT NULL
);
INSERT INTO "new_Resource" ("accessTokenFormat", "accessTokenTtlSeconds", "createdAt", "id", "identifier", "name", "updatedAt") SELECT "accessTokenFormat", "accessTokenTtlSeconds", "createdAt", "id", "identifier", "name", "updatedAt" FROM "Resource";
DROP TABLE "Resource";
ALTER TABLE "new_Resource" RENAME TO "Resource";
CREATE UNIQUE INDEX "Resource_identifier_key" ON "Resource"("identifier");
CREATE TABLE "new_ResourceScope" (
    "resourceId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "byDefault" BOOLEAN NOT NULL DEFAULT true,

    PRIMARY KEY ("resourceId", "name"),
    CONSTRAINT "ResourceScope_resourceId_fkey" FOREIGN KEY ("resourceId") REFERENCES "Resource" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
INSERT INTO "new_ResourceScope" ("description", "name", "resourceId") SELECT "description", "name", "resourceId" FROM "ResourceScope";
DROP TABLE "ResourceScope";
ALTER TABLE "new_ResourceScope" RENAME TO "ResourceScope";
CREATE INDEX "ResourceScope_name_idx" ON "ResourceScope"("name");
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;

-- CreateIndex
CREATE INDEX "ResourceClient_clientId_idx" ON "ResourceClient"("clientId");

-- CreateIndex
CREATE INDEX "Client_origin_lastUsedAt_idx" ON "Client"("origin", "lastUsedAt");
