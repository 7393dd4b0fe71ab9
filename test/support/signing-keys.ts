// Signing keys that all test servers share. Generating an RSA key takes longer than the rest of a
// start.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { systemClock } from '../../src/base/clock.js';
import { createSecrets } from '../../src/base/crypto.js';
import { migrate } from '../../src/base/db/migrate.js';
import { openDatabase } from '../../src/base/db/open.js';
import { createTransact } from '../../src/base/db/transaction.js';
import { createLog } from '../../src/base/log.js';
import { createAudit } from '../../src/core/audit/audit.js';
import { createKeys } from '../../src/core/keys/keys.js';

/** The master secret of test servers that do not set their own. */
export const SECRET = 'the master secret that test servers share';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Rows of SigningKey, sealed with SECRET. */
    signingKeys: { kid: string; algorithm: string; publicJwk: object; encryptedPrivateJwk: string }[];
  }
}

export default async function bootstrap(project: TestProject) {
  const folder = mkdtempSync(join(tmpdir(), 'signet-keys-'));
  const url = `file:${join(folder, 'signet.db')}`;
  await migrate(url);
  const db = await openDatabase(url);
  try {
    const clock = systemClock;
    const log = createLog('silent');
    const invalidationBus = { publish: async () => {}, on: () => () => {}, close: async () => {} };
    const secrets = createSecrets(SECRET);
    const audit = createAudit({ db, clock, log });
    const lives = { rotationSeconds: 86_400, signatureSeconds: () => 3600 };
    await createKeys({ db, transact: createTransact({ db, log }), clock, secrets, audit, invalidationBus, ...lives });
    const rows = await db.signingKey.findMany();
    project.provide(
      'signingKeys',
      rows.map(({ kid, algorithm, publicJwk, encryptedPrivateJwk }) => {
        return { kid, algorithm, publicJwk: publicJwk as object, encryptedPrivateJwk };
      }),
    );
  } finally {
    await db.$disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
}
