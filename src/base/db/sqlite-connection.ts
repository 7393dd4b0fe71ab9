/**
 * A connection to SQLite for the adapter: caches prepared statements, and converts values and
 * errors.
 */
import { type ColumnType, ColumnTypeEnum, type SqlQuery, type SqlResultSet } from '@prisma/driver-adapter-utils';
import type { Sqlite, Statement } from './sqlite-driver.js';
import { withPrismaErrors } from './sqlite-errors.js';
import { declaredType, fromSqlite, inferredType, toSqlite } from './sqlite-values.js';

const CACHED_STATEMENTS = 500;

interface Prepared {
  statement: Statement;
  names: string[];
  types: (ColumnType | undefined)[];
}

export class SqliteConnection {
  readonly db: Sqlite;
  readonly #prepared = new Map<string, Prepared>();

  constructor(db: Sqlite) {
    this.db = db;
  }

  query({ sql, args, argTypes }: SqlQuery): SqlResultSet {
    return withPrismaErrors(() => {
      const { statement, names, types } = this.#prepare(sql);
      const parameters = args.map((arg, i) => toSqlite(arg, argTypes[i]));
      if (names.length === 0) {
        statement.run(...parameters);
        return { columnNames: [], columnTypes: [], rows: [] };
      }
      const found = statement.all(...parameters) as unknown as unknown[][];
      const columnTypes = types.map((type, i) => type ?? inferredType(found, i));
      const rows = found.map((row) => row.map((value, i) => fromSqlite(value, columnTypes[i]!)));
      return { columnNames: names, columnTypes, rows };
    });
  }

  execute({ sql, args, argTypes }: SqlQuery): number {
    return withPrismaErrors(() => {
      const parameters = args.map((arg, i) => toSqlite(arg, argTypes[i]));
      return Number(this.#prepare(sql).statement.run(...parameters).changes);
    });
  }

  exec(sql: string): void {
    withPrismaErrors(() => this.db.exec(sql));
  }

  close(): void {
    this.#prepared.clear();
    this.db.close();
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql);
    if (known) this.#prepared.delete(sql); // put in again below: the map is kept in order of use
    const prepared = known ?? prepare(this.db, sql);
    if (this.#prepared.size >= CACHED_STATEMENTS) this.#prepared.delete(this.#prepared.keys().next().value as string);
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}

function prepare(db: Sqlite, sql: string): Prepared {
  const statement = db.prepare(sql);
  const columns = statement.columns() as { name: string; type: string | null }[];
  const types = columns.map(({ type }) => declaredType(type));
  statement.setReturnArrays(true);
  // Integers beyond 2^53 are possible in BIGINT columns and in expressions such as SUM().
  if (types.some((type) => type === undefined || type === ColumnTypeEnum.Int64)) statement.setReadBigInts(true);
  return { statement, names: columns.map(({ name }) => name), types };
}
