/** Reads consents in PostgreSQL with a prepared statement. */
import type { Consent } from '../../../base/db/open.js';
import type { Prepared, Statement } from '../../../base/db/prepared.js';
import type { ConsentReader } from '../stores.js';

export function createPostgresqlConsentReader({ prepared }: { prepared: Prepared }): ConsentReader {
  return {
    async find(accountId, clientId) {
      return (await prepared.run<Pick<Consent, 'scopes'>>(FIND, [accountId, clientId])).rows[0];
    },
  };
}

const FIND: Statement = {
  name: 'find-consent',
  text: 'SELECT "scopes" FROM "Consent" WHERE "accountId" = $1 AND "clientId" = $2',
};
