// The session of oidc-provider follows our session, and is stored only when it has changed.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY_SECONDS } from '../../../src/base/clock.js';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, pkce, signInAndConsent, type TestClient } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('the provider session on $name', (store) => {
  let server: TestServer;
  let client: TestClient;
  let email: string;
  /** The ids under which sessions were stored. */
  const stored: string[] = [];

  beforeAll(async () => {
    server = await startServer({ store });
    client = await server.client();
    ({ email } = await server.account());
    const { store: oauthStorage } = server.core.oauthStorage;
    const { put } = oauthStorage;
    oauthStorage.put = async (kind, id, ...rest) => {
      if (kind === 'Session') stored.push(id);
      await put(kind, id, ...rest);
    };
  });
  afterAll(() => server.close());

  /** Signs in and authorizes. Returns the browser and the id of its provider session. */
  async function signIn(): Promise<{ browser: Browser; id: string }> {
    const browser = new Browser(server.origin);
    await authorize(browser);
    const id = stored.at(-1)!;
    stored.length = 0;
    return { browser, id };
  }

  async function authorize(browser: Browser, more: Record<string, string> = {}): Promise<void> {
    const url = await signInAndConsent(browser, authorizeUrl(server, client, pkce().challenge, more), email);
    expect(url.searchParams.get('code')).toBeTruthy();
  }

  it('is not stored again by an authorization that does not change it', async () => {
    const { browser } = await signIn();
    await authorize(browser);
    await authorize(browser);
    expect(stored).toEqual([]);
  });

  it('is stored again when the user has signed in again', async () => {
    const { browser } = await signIn();
    await sleep(1000); // the authentication time has a resolution of seconds
    await authorize(browser, { prompt: 'login' });
    expect(stored.length).toBeGreaterThan(0);
  });

  it('is stored again after a tenth of its lifetime', async () => {
    const { browser, id } = await signIn();
    const { store: artifacts } = server.core.oauthStorage;
    const { payload } = (await artifacts.get('Session', id))!;
    const exp = Number(payload.exp) - 2 * DAY_SECONDS;
    await artifacts.put('Session', id, { ...payload, exp }, { expiresAt: new Date(exp * 1000) });
    stored.length = 0; // ignore the write above
    await authorize(browser);
    expect(stored).toEqual([id]);
    const extended = await artifacts.get('Session', id);
    expect(Number(extended?.payload.exp)).toBeGreaterThan(exp);
  });

  it('is created again if it was deleted from the store', async () => {
    const { browser, id } = await signIn();
    await server.core.oauthStorage.store.remove('Session', id);
    await authorize(browser);
    expect(stored).toHaveLength(1);
  });
});
