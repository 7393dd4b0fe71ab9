// Fails the first store call of a request, then the second, the third, and so on. No client gets an
// incomplete response, and no token family gets two active refresh tokens.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { movableClock } from '../support/movable-clock.js';
import { createOutage, FAILURES } from '../support/outage.js';
import {
  isActive,
  obtainCode,
  redeemCode,
  refresh,
  type TestClient,
  type TokenResponse,
} from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { openTokenFamily } from '../support/token-family.js';

const CACHE_EXPIRY_MS = 2000; // after all caches expire, each request reads from the stores
const NO_HANG_MS = 5000;
const MAX_CALLS = 60;

describe.each(stores)('the server on $name', (store) => {
  const outage = createOutage();
  const { clock, advance } = movableClock();
  let server: TestServer;
  let browser: Browser;
  let email: string;

  beforeAll(async () => {
    server = await startServer({
      store,
      clock,
      wrapBase: outage.wrapBase,
      settings: { REFRESH_TOKEN_REUSE_INTERVAL: '5m' },
    });
    ({ email } = await server.account());
    browser = new Browser(server.origin);
  });
  afterAll(() => server.close());

  describe.each(FAILURES)('with a store that %s', (failure) => {
    it('redeems a code completely or not at all', async () => {
      const failures = await atEveryCall(async (call) => {
        const client = await server.client();
        const obtained = await obtainCode(server, client, email, {}, browser);
        const { result: response, failed, ms } = await outageAt(call, () => redeemCode(server, client, obtained));
        expect(ms).toBeLessThan(NO_HANG_MS);
        if (failed) {
          expectOutage(response);
          expect((await activeTokenIds(client)).length).toBeLessThanOrEqual(1);
        } else {
          await expectComplete(client, response);
        }

        const again = await redeemCode(server, client, obtained);
        if (failed && again.status === 200) {
          await expectComplete(client, again);
        } else {
          expect([again.status, again.body.error]).toEqual([400, 'invalid_grant']);
          expect(await server.base.db.grant.count({ where: { clientId: client.id } })).toBe(0);
        }
        return failed;
      });
      expect(failures).toBeGreaterThanOrEqual(4); // client, code, its consumption and the tokens are stored
    });

    it.each([
      ['opaque', false],
      ['JWT', true],
    ])('allows a retry of a refresh token (%s access tokens), with one active successor', async (_, asJwt) => {
      const failures = await atEveryCall(async (call) => {
        const client = await server.client();
        const resource: Record<string, string> = asJwt
          ? { resource: `${server.issuer}/api/v1`, scope: 'openid memory:read' }
          : {};
        const { refreshToken } = await openTokenFamily(server, client, email, resource, browser);
        const {
          result: response,
          failed,
          ms,
        } = await outageAt(call, () => refresh(server, client, refreshToken, resource));
        expect(ms).toBeLessThan(NO_HANG_MS);
        if (failed) expectOutage(response);
        expect(await activeTokenIds(client)).toHaveLength(1);

        const retry = failed ? await refresh(server, client, refreshToken, resource) : response;
        expect([retry.status, retry.body.error]).toEqual([200, undefined]);
        expect(retry.body.access_token?.split('.')).toHaveLength(asJwt ? 3 : 1);
        expect(await activeTokenIds(client)).toEqual([server.core.oauthStorage.idOf(retry.body.refresh_token!)]);

        const next = await refresh(server, client, retry.body.refresh_token!);
        await expectComplete(client, next);
        expect((await refresh(server, client, refreshToken)).status).toBe(400); // still known as used
        expect(await server.base.db.grant.count({ where: { clientId: client.id } })).toBe(0);
        return failed;
      });
      expect(failures).toBeGreaterThanOrEqual(4);
    });

    /** Fails each call in turn, until a request succeeds. Returns the number of failed requests. */
    async function atEveryCall(attempt: (call: number) => Promise<boolean>): Promise<number> {
      for (let call = 1; call <= MAX_CALLS; call += 1) {
        if (!(await attempt(call))) return call - 1;
      }
      throw new Error(`more than ${MAX_CALLS} calls`);
    }

    async function outageAt(call: number, request: () => Promise<TokenResponse>) {
      await server.core.audit.flush(); // otherwise audit events of the previous attempt could be written now
      advance(CACHE_EXPIRY_MS);
      return outage.during(call, failure, request);
    }
  });

  function expectOutage({ status, headers, body }: TokenResponse): void {
    expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(Object.keys(body).filter((name) => /token$/.test(name))).toEqual([]);
  }

  /** Checks that a token response is complete, and that its grant is stored. */
  async function expectComplete(client: TestClient, { status, body }: TokenResponse): Promise<void> {
    expect([status, body.error]).toEqual([200, undefined]);
    expect(body).toMatchObject({ id_token: expect.any(String), refresh_token: expect.any(String) });
    expect(await isActive(server, body.access_token!)).toBe(true);
    expect(await activeTokenIds(client)).toEqual([server.core.oauthStorage.idOf(body.refresh_token!)]);
  }

  async function activeTokenIds({ id }: TestClient): Promise<string[]> {
    const where = { grant: { clientId: id }, consumedAt: null };
    return (await server.base.db.refreshToken.findMany({ where })).map((token) => token.id);
  }
});
