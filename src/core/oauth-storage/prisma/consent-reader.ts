/** Reads consents in any database. */
import type { Database } from '../../../base/db/open.js';
import type { ConsentReader } from '../stores.js';

export function createPrismaConsentReader({ db }: { db: Database }): ConsentReader {
  return {
    async find(accountId, clientId) {
      const where = { accountId_clientId: { accountId, clientId } };
      return (await db.consent.findUnique({ where, select: { scopes: true } })) ?? undefined;
    },
  };
}
