// An administrator's change waits only for changes of the same accounts, not of all administrators.
// SQLite runs one transaction at a time.
import { afterAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { createAccount } from '../../support/accounts.js';
import { startServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const server = await startServer({ store: stores.find(({ name }) => name === 'PostgreSQL')! });
afterAll(() => server.close());

const LOCKED_MS = 2000;

describe('a change by an administrator', () => {
  it('does not wait for a transaction that has locked another administrator', async () => {
    const [admin, other] = [
      await createAccount(server, { role: 'admin' }),
      await createAccount(server, { role: 'admin' }),
    ];
    const user = await createAccount(server);
    let changedWhileLocked = false;
    let isLocked = true;
    await server.base.db.$transaction(async (tx) => {
      await server.core.accounts.lock(other.id, tx);
      const changed = server.core.userAdministration.change(user.id, { name: 'Changed' }, admin, systemMeta);
      void changed.then(() => {
        changedWhileLocked = isLocked;
      });
      await Promise.race([changed, new Promise((resolve) => setTimeout(resolve, LOCKED_MS))]);
      isLocked = false;
    });
    expect(changedWhileLocked).toBe(true);
  });
});
