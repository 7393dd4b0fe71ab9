/**
 * Housekeeping: sweeps what has expired, replaces signing keys in time, takes unused clients away.
 * Every process may do it; nothing is done twice.
 */
import { addSeconds, type Clock, DAY_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { Database } from '../../base/db/open.js';
import type { Log } from '../../base/log.js';
import type { Agents } from '../agents/agents.js';
import type { UnusedClients } from '../clients/unused-client-cleanup.js';
import type { TokenVault } from '../identities/token-vault.js';
import type { Keys } from '../keys/keys.js';

interface Deps {
  db: Database;
  clock: Clock;
  log: Log;
  keys: Keys;
  agents: Pick<Agents, 'sweep'>;
  tokenVault: Pick<TokenVault, 'sweep'>;
  unusedClients: UnusedClients;
}

const EVERY_SECONDS = 5 * MINUTE_SECONDS;
/**
 * Ended logins stay for the person to see, and so that signing in from a known address is
 * recognised.
 */
const KEEP_SESSIONS_SECONDS = 90 * DAY_SECONDS;

/**
 * A spent refresh token is kept to recognise its replay. Not until it would have expired: a client
 * that refreshes all day would pile up its family. Older ones are refused all the same, as unknown.
 */
const KEEP_CONSUMED_SECONDS = DAY_SECONDS;

export type Cleanup = ReturnType<typeof createCleanup>;

export function createCleanup({ db, clock, log, keys, agents, tokenVault, unusedClients }: Deps) {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();

  return { start, stop, run, sweepAll };

  function start(): void {
    // Spread a little, so that processes that started together do not sweep together.
    const pause = EVERY_SECONDS * SECOND_MS * (0.9 + Math.random() / 5);
    timer = setTimeout(() => {
      running = run().finally(start);
    }, pause).unref();
  }

  async function stop(): Promise<void> {
    clearTimeout(timer);
    await running;
    clearTimeout(timer);
  }

  /** All of it, once. Never rejects. */
  async function run(): Promise<void> {
    try {
      const swept = await sweepAll();
      log.debug({ swept }, 'swept');
      await keys.reload(); // should an announcement have been missed: more often than a new key waits before it signs
      if (await keys.rotateIfDue()) log.info('signing keys are being rotated');
      await keys.sweep();
      const reaped = await unusedClients.removeUnused();
      if (reaped.length > 0) log.info({ count: reaped.length }, 'clients that nobody uses were taken away');
    } catch (error) {
      log.error({ error }, 'housekeeping failed; it is tried again');
    }
  }

  /** Deletes what has expired. Returns how many rows of each kind. */
  async function sweepAll(): Promise<Record<string, number>> {
    const expired = { where: { expiresAt: { lte: clock.now() } } };
    const oauthStorage = await db.oidcArtifact.deleteMany(expired);
    const longSpent = { consumedAt: { lte: addSeconds(clock.now(), -KEEP_CONSUMED_SECONDS) } };
    const refreshTokens = await db.refreshToken.deleteMany({ where: { OR: [expired.where, longSpent] } });
    const grants = await db.grant.deleteMany(expired);
    const oneTimeTokens = await db.oneTimeToken.deleteMany(expired);
    const approvals = await db.approval.deleteMany(expired);
    const invitations = await db.invitation.deleteMany(expired);
    const forgotten = addSeconds(clock.now(), -KEEP_SESSIONS_SECONDS);
    const sessions = await db.session.deleteMany({ where: { expiresAt: { lte: forgotten } } });
    const rateLimits = await db.rateLimit.deleteMany({ where: { expire: { lte: BigInt(clock.now().getTime()) } } });
    return {
      oauthStorage: oauthStorage.count,
      refreshTokens: refreshTokens.count,
      grants: grants.count,
      oneTimeTokens: oneTimeTokens.count,
      approvals: approvals.count,
      invitations: invitations.count,
      sessions: sessions.count,
      rateLimits: rateLimits.count,
      agents: await agents.sweep(),
      tokenVault: await tokenVault.sweep(),
    };
  }
}
