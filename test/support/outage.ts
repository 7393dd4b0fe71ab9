// Makes the n-th call to a store fail: wraps the database, the prepared statements and the Redis
// of a server.
import type { Base } from '../../src/base/base.js';
import type { Database, Queryable } from '../../src/base/db/open.js';
import type { Prepared } from '../../src/base/db/prepared.js';
import { createTransact } from '../../src/base/db/transaction.js';
import type { Redis } from '../../src/base/redis.js';

/**
 * `refuses`: the call has no effect and fails. `loses the answer`: it takes effect and fails.
 * `stays away`: this call and all later ones have no effect and fail.
 */
export const FAILURES = ['refuses', 'loses the answer', 'stays away'] as const;
export type Failure = (typeof FAILURES)[number];

/**
 * Written by timers, not by the request under test. A timer that fires during a slow request must
 * not use up its failure.
 */
const BACKGROUND_WRITES = new Set(['auditEvent.createMany', 'client.updateMany', 'apiKey.updateMany']);

type Verb = (...args: unknown[]) => PromiseLike<unknown>;

const REDIS_COMMANDS = new Set(['get', 'set', 'hmget', 'eval', 'unlink']);

export function createOutage() {
  let plan: { call: number; failure: Failure } | undefined;
  let calls = 0;

  return { wrapBase, during };

  function wrapBase(base: Base): Base {
    const db = breakable(base.db);
    return {
      ...base,
      db,
      transact: createTransact({ db, log: base.log }),
      prepared: base.prepared && breakablePrepared(base.prepared),
      redis: base.redis && breakableRedis(base.redis),
    };
  }

  /**
   * Runs something while call number `call` fails. Reports whether that call was reached, and the
   * duration.
   */
  async function during<Result>(call: number, failure: Failure, run: () => Promise<Result>) {
    calls = 0;
    plan = { call, failure };
    const began = performance.now();
    try {
      const result = await run();
      return { result, failed: calls >= call, ms: performance.now() - began };
    } finally {
      plan = undefined;
    }
  }

  async function attempt<Result>(run: () => PromiseLike<Result>, error: () => Error): Promise<Result> {
    if (!plan) return run();
    const { call, failure } = plan;
    calls += 1;
    const isFailing = calls === call;
    if ((isFailing && failure === 'refuses') || (calls >= call && failure === 'stays away')) throw error();
    const result = await run();
    if (isFailing && failure === 'loses the answer') throw error();
    return result;
  }

  /**
   * Counts a transaction as one call, and each call in it as another. The answer of a transaction
   * is lost after its commit.
   */
  function breakable<Client extends Queryable>(client: Client): Client {
    return new Proxy(client, {
      get(target, name) {
        if (name === '$transaction') {
          return (verb: (tx: Queryable) => Promise<unknown>, options?: object) =>
            attempt(
              () => (target as unknown as Database).$transaction((tx) => verb(breakable(tx)), options),
              databaseAway,
            );
        }
        const model = Reflect.get(target, name);
        if (name === '$executeRaw' || name === '$queryRaw') {
          return (...args: unknown[]) => attempt(() => (model as Verb).apply(target, args), databaseAway);
        }
        if (typeof name !== 'string' || /^[$_]/.test(name) || typeof model !== 'object') return model;
        return new Proxy(model as object, {
          get(delegate, verb) {
            const method = Reflect.get(delegate, verb);
            if (typeof method !== 'function') return method;
            if (BACKGROUND_WRITES.has(`${name}.${String(verb)}`)) return method.bind(delegate);
            return (...args: unknown[]) => attempt(() => method.apply(delegate, args), databaseAway);
          },
        });
      },
    });
  }

  function breakablePrepared(prepared: Prepared): Prepared {
    return {
      ...prepared,
      run: (statement, values) => attempt(() => prepared.run(statement, values), databaseAwayAsInPg),
    };
  }

  function breakableRedis(redis: Redis): Redis {
    return new Proxy(redis, {
      get(target, name) {
        const method = Reflect.get(target, name);
        if (name === 'multi') {
          return () => {
            const batch = target.multi();
            const exec = batch.exec.bind(batch);
            return Object.assign(batch, { exec: () => attempt(exec, redisAway) });
          };
        }
        if (typeof method !== 'function') return method;
        if (!REDIS_COMMANDS.has(String(name))) return method.bind(target);
        return (...args: unknown[]) => attempt(() => method.apply(target, args), redisAway);
      },
    });
  }
}

const databaseAway = () => Object.assign(new Error("Can't reach the database server"), { code: 'P1001' });
const databaseAwayAsInPg = () => new Error('Connection terminated unexpectedly');
const redisAway = () => new Error('Command timed out');
