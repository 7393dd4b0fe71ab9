// Stores that fail at the n-th call: stands between a house and its database, its prepared
// statements and its Redis.
import type { Base } from '../../src/base/base.js';
import type { Database, Queryable } from '../../src/base/db/open.js';
import type { Prepared } from '../../src/base/db/prepared.js';
import { createTransact } from '../../src/base/db/transaction.js';
import type { Redis } from '../../src/base/redis.js';

/**
 * `refuses`: nothing was done. `loses the answer`: it was done. `stays away`: this call and every
 * later one is refused.
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
   * Does something while call number `call` fails. Tells whether it came to that call, and how long
   * it took.
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

  async function ask<Result>(run: () => PromiseLike<Result>, error: () => Error): Promise<Result> {
    if (!plan) return run();
    const { call, failure } = plan;
    calls += 1;
    const isIt = calls === call;
    if ((isIt && failure === 'refuses') || (calls >= call && failure === 'stays away')) throw error();
    const result = await run();
    if (isIt && failure === 'loses the answer') throw error();
    return result;
  }

  /**
   * A transaction is one call, and each call in it another: its answer is lost when it is committed
   * already.
   */
  function breakable<Client extends Queryable>(client: Client): Client {
    return new Proxy(client, {
      get(target, name) {
        if (name === '$transaction') {
          return (verb: (tx: Queryable) => Promise<unknown>, options?: object) =>
            ask(() => (target as unknown as Database).$transaction((tx) => verb(breakable(tx)), options), databaseAway);
        }
        const model = Reflect.get(target, name);
        if (name === '$executeRaw' || name === '$queryRaw') {
          return (...args: unknown[]) => ask(() => (model as Verb).apply(target, args), databaseAway);
        }
        if (typeof name !== 'string' || /^[$_]/.test(name) || typeof model !== 'object') return model;
        return new Proxy(model as object, {
          get(delegate, verb) {
            const method = Reflect.get(delegate, verb);
            if (typeof method !== 'function') return method;
            if (BACKGROUND_WRITES.has(`${name}.${String(verb)}`)) return method.bind(delegate);
            return (...args: unknown[]) => ask(() => method.apply(delegate, args), databaseAway);
          },
        });
      },
    });
  }

  function breakablePrepared(prepared: Prepared): Prepared {
    return {
      ...prepared,
      run: (statement, values) => ask(() => prepared.run(statement, values), databaseAwayAsPgSaysIt),
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
            return Object.assign(batch, { exec: () => ask(exec, redisAway) });
          };
        }
        if (typeof method !== 'function') return method;
        if (!REDIS_COMMANDS.has(String(name))) return method.bind(target);
        return (...args: unknown[]) => ask(() => method.apply(target, args), redisAway);
      },
    });
  }
}

const databaseAway = () => Object.assign(new Error("Can't reach the database server"), { code: 'P1001' });
const databaseAwayAsPgSaysIt = () => new Error('Connection terminated unexpectedly');
const redisAway = () => new Error('Command timed out');
