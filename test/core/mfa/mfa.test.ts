// The second factor: single use of codes, rate limits, and its stored form.
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createSecrets } from '../../../src/base/crypto.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { Authenticator, enrol, readQrCode } from '../../support/authenticator.js';
import { Browser } from '../../support/browser.js';
import { movableClock } from '../../support/movable-clock.js';
import { isActive, refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

const STEP_MS = 30_000;
const DAY_MS = 86_400_000;

describe.each(stores)('a second factor on $name', (store) => {
  let server: TestServer;
  const { clock, advance, later, reset } = movableClock();
  const { now } = clock;
  beforeAll(async () => {
    server = await startServer({ store, clock, settings: { BRAND_NAME: 'Acme & Co: Konto' } });
  });
  afterEach(reset);
  afterAll(() => server.close());

  const verify = (account: Parameters<TestServer['core']['mfa']['verify']>[0], otp: string) =>
    server.core.mfa.verify(account, otp, systemMeta);
  const errorCodeOf = (result: PromiseSettledResult<unknown>) =>
    result.status === 'rejected' ? (result.reason as { code: string }).code : result.value;
  const auditedActions = async (accountId: string) =>
    (await server.core.audit.list({ accountId })).map(({ action }) => action).reverse();

  it('is enrolled by a QR code and required after the first valid code', async () => {
    const account = await server.account();
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    const login = { account, session, amr: ['pwd'] };
    const { secret, otpauthUri, qrSvg } = await server.core.mfa.beginEnrollment(account);
    expect(readQrCode(qrSvg)).toBe(otpauthUri);
    expect(otpauthUri).toContain(`otpauth://totp/Acme%20%26%20Co%3A%20Konto:${encodeURIComponent(account.email)}?`);
    const app = Authenticator.scan(otpauthUri);
    expect(app.secret).toBe(secret);
    expect(await server.core.mfa.isEnrolled(account.id)).toBe(false);
    await expect(server.core.mfa.confirmEnrollment(login, app.wrongCode(now()), systemMeta)).rejects.toThrow(
      'incorrect',
    );
    expect(await server.core.mfa.isEnrolled(account.id)).toBe(false);
    const codes = await server.core.mfa.confirmEnrollment(login, app.code(now()), systemMeta);
    expect(codes).toHaveLength(10);
    expect(await server.core.mfa.status(account.id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
    expect(await auditedActions(account.id)).toContain('mfa.enrolled');
  });

  it('replaces the secret of an unconfirmed enrollment', async () => {
    const account = await server.account();
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    const login = { account, session, amr: ['pwd'] };
    const [first, second] = [
      await server.core.mfa.beginEnrollment(account),
      await server.core.mfa.beginEnrollment(account),
    ];
    expect(second.secret).not.toBe(first.secret);
    expect(await server.core.mfa.pendingEnrollment(account)).toEqual(second);
    const old = new Authenticator(first.secret).code(now());
    await expect(server.core.mfa.confirmEnrollment(login, old, systemMeta)).rejects.toMatchObject({
      code: 'invalid_otp',
    });
    await server.core.mfa.confirmEnrollment(login, new Authenticator(second.secret).code(now()), systemMeta);
    expect(await server.core.mfa.pendingEnrollment(account)).toBeUndefined();
    await expect(server.core.mfa.beginEnrollment(account)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('has one secret after 8 concurrent enrollments and one set of recovery codes after 8 confirmations', async () => {
    const account = await server.account();
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    const login = { account, session, amr: ['pwd'] };
    await Promise.all(Array.from({ length: 8 }, () => server.core.mfa.beginEnrollment(account)));
    const app = new Authenticator((await server.core.mfa.pendingEnrollment(account))!.secret);
    const code = app.code(now());
    const confirmed = await Promise.allSettled(
      Array.from({ length: 8 }, () => server.core.mfa.confirmEnrollment(login, code, systemMeta)),
    );
    expect(confirmed.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await server.core.mfa.status(account.id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
  });

  it('accepts each code once, and none older than the last accepted one', async () => {
    const at = now();
    const { account, app } = await enrol(server, at);
    expect(await verify(account, app.code(at))).toBeUndefined(); // used for the confirmation
    expect(await verify(account, app.code(at, -1))).toBeUndefined(); // older than the last accepted code
    expect(await verify(account, app.code(at, 1))).toEqual(['otp']);
    expect(await verify(account, app.code(at, 1))).toBeUndefined();
    advance(STEP_MS);
    expect(await verify(account, app.code(at, 1))).toBeUndefined(); // used, although within the tolerance
    advance(STEP_MS);
    expect(await verify(account, app.code(at, 2))).toEqual(['otp']);
  });

  it('tolerates a clock skew of one step and no more', async () => {
    for (const [steps, expected] of [
      [-2, undefined],
      [-1, ['otp']],
      [0, ['otp']],
      [1, ['otp']],
      [2, undefined],
    ] as const) {
      const { account, app } = await enrol(server, now());
      await later(10 * STEP_MS, async () => {
        expect(await verify(account, app.code(now(), steps)), `${steps} steps`).toEqual(expected);
      });
    }
  });

  it('accepts a code once in 20 concurrent requests', async () => {
    const { account, app } = await enrol(server, now());
    const code = app.code(now(), 1);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => verify(account, code)));
    expect(results.filter((result) => result.status === 'fulfilled' && result.value)).toHaveLength(1);
  });

  it('accepts each recovery code once, in any format, even in 20 concurrent requests', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const [first = '', second = '', third = ''] = recoveryCodes;
    expect(await verify(account, first)).toEqual(['otp']);
    expect(await verify(account, first)).toBeUndefined();
    expect(await verify(account, ` ${second.replaceAll('-', '')} `)).toEqual(['otp']);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => verify(account, third)));
    expect(results.filter((result) => result.status === 'fulfilled' && result.value)).toHaveLength(1);
    expect(await server.core.mfa.status(account.id)).toEqual({ enrolled: true, recoveryCodesLeft: 7 });
    const used = (await server.core.audit.list({ accountId: account.id, action: 'mfa.recovery_code_used' })).reverse();
    expect(used.map(({ detail }) => detail)).toEqual([{ left: 9 }, { left: 8 }, { left: 7 }]);
  });

  it('rejects the codes of another account', async () => {
    const [one, other] = [await enrol(server, now()), await enrol(server, now())];
    expect(await verify(one.account, other.app.code(now(), 1))).toBeUndefined();
    expect(await verify(one.account, other.recoveryCodes[0]!)).toBeUndefined();
    expect(await verify(other.account, other.recoveryCodes[0]!)).toEqual(['otp']);
  });

  it('allows 5 wrong codes in five minutes, and accepts recovery codes meanwhile', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => verify(account, app.wrongCode(now()))));
    expect(attempts.map(errorCodeOf).filter((code) => code === undefined)).toHaveLength(5);
    expect(attempts.map(errorCodeOf).filter((code) => code === 'auth_rate_limited')).toHaveLength(15);
    const error = await verify(account, app.code(now(), 1)).catch((error) => error); // otherwise guessing could continue
    expect(error).toMatchObject({ status: 429, code: 'auth_rate_limited' });
    expect(error.retryAfterSeconds).toBeGreaterThan(0);
    expect(error.retryAfterSeconds).toBeLessThanOrEqual(5 * 60);
    expect(await verify(account, recoveryCodes[0]!)).toEqual(['otp']);
  });

  it('resets the count of attempts after a valid code', async () => {
    const { account, app } = await enrol(server, now());
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < 4; n += 1) expect(await verify(account, app.wrongCode(now()))).toBeUndefined();
      advance(STEP_MS);
      expect(await verify(account, app.code(now()))).toEqual(['otp']);
    }
  });

  it('revokes all other sessions when it is set up and when it is removed', async () => {
    const account = await server.account();
    const open = () => server.core.sessions.open(account, ['pwd'], systemMeta);
    const [mine, other] = [await open(), await open()];
    const login = { account, session: mine.session, amr: ['pwd'] };
    const app = new Authenticator((await server.core.mfa.beginEnrollment(account)).secret);
    const isOpen = async (token: string) => (await server.core.sessions.findByToken(token)) !== undefined;
    expect([await isOpen(mine.token), await isOpen(other.token)]).toEqual([true, true]);
    await server.core.mfa.confirmEnrollment(login, app.code(now()), systemMeta);
    expect([await isOpen(mine.token), await isOpen(other.token)]).toEqual([true, false]);
    const third = await open();
    await server.core.mfa.remove(login, systemMeta);
    expect([await isOpen(mine.token), await isOpen(third.token)]).toEqual([true, false]);
    const ended = await server.core.audit.list({ accountId: account.id, action: 'session.ended' });
    expect(ended.map(({ detail }) => detail)).toEqual([{ reason: 'mfa_changed' }, { reason: 'mfa_changed' }]);
  });

  it('revokes offline grants of signed-out sessions when it is set up and when it is removed', async () => {
    const account = await server.account();
    const client = await server.client();
    const { session } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    const login = { account, session, amr: ['pwd'] };
    const app = new Authenticator((await server.core.mfa.beginEnrollment(account)).secret);
    /** Obtains tokens with offline access, then signs out. */
    const openOfflineFamily = async (otp?: string) => {
      const browser = new Browser(server.origin);
      const start = otp && (await browser.signIn(account.email, PASSWORD));
      if (start) await browser.submit(start, { otp });
      const more = { scope: 'openid offline_access', prompt: 'consent' };
      const family = await openTokenFamily(server, client, account.email, more, browser);
      await browser.submit(await browser.open('/logout'));
      expect(await isActive(server, family.accessToken)).toBe(true);
      return family;
    };
    const before = await openOfflineFamily();
    const codes = await server.core.mfa.confirmEnrollment(login, app.code(now()), systemMeta);
    const after = await openOfflineFamily(codes[0]);
    expect(await isActive(server, before.accessToken)).toBe(false);
    expect((await refresh(server, client, before.refreshToken)).body.error).toBe('invalid_grant');
    await server.core.mfa.remove(login, systemMeta);
    expect(await isActive(server, after.accessToken)).toBe(false);
    expect((await refresh(server, client, after.refreshToken)).body.error).toBe('invalid_grant');
  });

  it('is removed with its recovery codes and can be set up again', async () => {
    const { account, login, app, recoveryCodes } = await enrol(server, now());
    await server.core.mfa.remove(login, systemMeta);
    expect(await server.core.mfa.status(account.id)).toEqual({ enrolled: false, recoveryCodesLeft: 0 });
    expect(await verify(account, app.code(now(), 1))).toBeUndefined();
    expect(await verify(account, recoveryCodes[0]!)).toBeUndefined();
    await expect(server.core.mfa.remove(login, systemMeta)).rejects.toMatchObject({ status: 404 });
    const next = new Authenticator((await server.core.mfa.beginEnrollment(account)).secret);
    await server.core.mfa.confirmEnrollment(login, next.code(now()), systemMeta);
    expect(await verify(account, app.code(now(), 1))).toBeUndefined();
    expect(await verify(account, next.code(now(), 1))).toEqual(['otp']);
    expect(await auditedActions(account.id)).toEqual(
      expect.arrayContaining(['mfa.enrolled', 'mfa.removed', 'mfa.enrolled']),
    );
  });

  it('has one set of recovery codes after 8 concurrent renewals', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const sets = await Promise.all(
      Array.from({ length: 8 }, () => server.core.mfa.regenerateRecoveryCodes({ account }, systemMeta)),
    );
    expect((await server.core.mfa.status(account.id)).recoveryCodesLeft).toBe(10);
    expect(await verify(account, recoveryCodes[0]!)).toBeUndefined();
    const accepted: unknown[] = [];
    for (const [code] of sets) if (await verify(account, code!)) accepted.push(code);
    expect(accepted).toHaveLength(1);
    const otherAccount = await server.account();
    await expect(server.core.mfa.regenerateRecoveryCodes({ account: otherAccount }, systemMeta)).rejects.toMatchObject({
      status: 404,
    });
  });

  it('is stored sealed or hashed, never in plain text', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const { secret } = await server.core.mfa.beginEnrollment(await server.account()); // not confirmed
    const rows = JSON.stringify([
      await server.base.db.totpFactor.findMany(),
      await server.base.db.recoveryCode.findMany({ where: { accountId: account.id } }),
      await server.base.db.auditEvent.findMany(),
    ]);
    const raw = (base32: string) => Buffer.from(base32).toString('base64url');
    for (const plain of [app.secret, secret, raw(app.secret), raw(secret)]) expect(rows).not.toContain(plain);
    for (const code of recoveryCodes) {
      expect(rows).not.toContain(code);
      expect(rows).not.toContain(code.replaceAll('-', ''));
    }
  });

  it('stays valid after a rotation of SECRET, and is sealed with the new one when it is used', async () => {
    const [first, second] = [
      'the first master secret of this server',
      'the second master secret of this server',
    ] as const;
    const sharedWith = { data: await store.open(), dataDir: server.dataDir, issuer: 'http://localhost:3000' };
    try {
      const before = await startServer({ sharedWith, clock, settings: { SECRET: first } });
      const { account, app } = await enrol(before, now());
      await before.close();
      const after = await startServer({
        sharedWith,
        clock,
        settings: { SECRET: second, SECRET_PREVIOUS: first },
      });
      expect(await after.core.mfa.verify(account, app.code(now(), 1), systemMeta)).toEqual(['otp']);
      const { sealedSecret } = await after.base.db.totpFactor.findFirstOrThrow();
      await after.close();
      expect(await createSecrets(second).open('totp', sealedSecret)).toBe(app.secret);
    } finally {
      await sharedWith.data.close();
    }
  });
});

describe('the rate limit of a second factor', () => {
  it('allows 30 wrong codes a day, and fewer in an hour and in five minutes', async () => {
    const server = await startServer();
    // The limiter measures real time, so the test moves the clock of the process.
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const { account, app } = await enrol(server);
      const start = Date.now();
      const waits: number[] = [];
      let attempts = 0;
      for (let now = start; now < start + DAY_MS; ) {
        const result = await server.core.mfa.verify(account, app.wrongCode(new Date(now)), systemMeta).catch((e) => e);
        if (result === undefined) {
          attempts += 1;
          continue;
        }
        waits.push(result.retryAfterSeconds);
        now += result.retryAfterSeconds * 1000;
        vi.setSystemTime(now);
      }
      expect(attempts).toBe(30);
      expect(waits[0]).toBeLessThanOrEqual(5 * 60);
      expect(waits.some((wait) => wait > 5 * 60 && wait <= 3600)).toBe(true);
      expect(waits.at(-1)).toBeGreaterThan(20 * 3600);
    } finally {
      vi.useRealTimers();
      await server.close();
    }
  });
});
