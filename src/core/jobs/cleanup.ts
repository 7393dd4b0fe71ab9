/**
 * The cleanup job: deletes expired rows, unused clients and unverified accounts, and rotates
 * signing keys. It can run in several processes at the same time.
 */
import type { Base } from '../../base/base.js';
import { addSeconds, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { CONSUMED_TOKEN_TTL_SECONDS, EXPIRED_SESSION_TTL_SECONDS } from '../../base/config/tokens.js';

/** The work of other modules, which this job only schedules. */
interface Deps {
  keys: { reload(): Promise<void>; rotateIfDue(): Promise<boolean>; sweep(): Promise<unknown> };
  agents: Sweeper;
  tokenVault: Sweeper;
  auditExpiry: Sweeper;
  unusedClients: { removeUnused(): Promise<unknown[]> };
  unverifiedAccounts: { removeExpired(): Promise<number> };
}

interface Sweeper {
  /** Deletes expired rows. Returns their number. */
  sweep(): Promise<number>;
}

const INTERVAL_SECONDS = 5 * MINUTE_SECONDS;

export type Cleanup = ReturnType<typeof createCleanup>;

export function createCleanup(
  { db, clock, log }: Base,
  { keys, agents, tokenVault, auditExpiry, unusedClients, unverifiedAccounts }: Deps,
) {
  let timer: NodeJS.Timeout | undefined;
  let currentRun: Promise<unknown> = Promise.resolve();

  return { start, stop, run, sweepAll };

  /** Runs the job periodically. */
  function start(): void {
    // Jitter keeps processes that started together from running it together.
    const delayMs = INTERVAL_SECONDS * SECOND_MS * (0.9 + Math.random() / 5);
    timer = setTimeout(() => {
      currentRun = run().finally(start);
    }, delayMs).unref();
  }

  /** Stops the job and waits for the current run. */
  async function stop(): Promise<void> {
    clearTimeout(timer);
    await currentRun;
    clearTimeout(timer); // the run has scheduled the next one
  }

  /** Runs the job once. Never rejects. */
  async function run(): Promise<void> {
    try {
      const swept = await sweepAll();
      log.debug({ swept }, 'expired rows were deleted');
      // Recovers from a missed invalidation. The interval of this job is shorter than the time that
      // a new key waits before it signs.
      await keys.reload();
      if (await keys.rotateIfDue()) log.info('signing keys are being rotated');
      await keys.sweep();
      const removedClients = await unusedClients.removeUnused();
      if (removedClients.length > 0) log.info({ count: removedClients.length }, 'unused clients were deleted');
      const removedAccounts = await unverifiedAccounts.removeExpired();
      if (removedAccounts > 0) log.info({ count: removedAccounts }, 'unverified accounts were deleted');
    } catch (error) {
      log.error({ error }, 'the cleanup failed; it will run again');
    }
  }

  /** Deletes expired rows. Returns the number of rows of each kind. */
  async function sweepAll(): Promise<Record<string, number>> {
    const expired = { where: { expiresAt: { lte: clock.now() } } };
    const oauthStorage = await db.oidcArtifact.deleteMany(expired);
    const consumedLongAgo = { consumedAt: { lte: addSeconds(clock.now(), -CONSUMED_TOKEN_TTL_SECONDS) } };
    const refreshTokens = await db.refreshToken.deleteMany({ where: { OR: [expired.where, consumedLongAgo] } });
    const grants = await db.grant.deleteMany(expired);
    const oneTimeTokens = await db.oneTimeToken.deleteMany(expired);
    const approvals = await db.approval.deleteMany(expired);
    const invitations = await db.invitation.deleteMany(expired);
    const sessionCutoff = addSeconds(clock.now(), -EXPIRED_SESSION_TTL_SECONDS);
    const sessions = await db.session.deleteMany({ where: { expiresAt: { lte: sessionCutoff } } });
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
      auditEvents: await auditExpiry.sweep(),
    };
  }
}
