/**
 * A connection to SQLite for the Prisma adapter. It caches prepared statements, and converts values
 * and errors.
 */
import { type ColumnType, ColumnTypeEnum, type SqlQuery, type SqlResultSet } from '@prisma/driver-adapter-utils';
import type { Sqlite, Statement } from './sqlite-driver.js';
import { withPrismaErrors } from './sqlite-errors.js';
import { declaredType, fromSqlite, inferredType, toSqlite } from './sqlite-values.js';

const MAX_CACHED_STATEMENTS = 500;

interface PreparedQuery {
  statement: Statement;
  names: string[];
  types: (ColumnType | undefined)[];
}

export class SqliteConnection {
  readonly db: Sqlite;
  /** Keys are SQL texts, in the order of the last use. */
  readonly #prepared = new Map<string, PreparedQuery>();

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
      const rawRows = statement.all(...parameters) as unknown as unknown[][];
      const columnTypes = types.map((type, i) => type ?? inferredType(rawRows, i));
      const rows = rawRows.map((row) => row.map((value, i) => fromSqlite(value, columnTypes[i]!)));
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

  #prepare(sql: string): PreparedQuery {
    const cached = this.#prepared.get(sql);
    const prepared = cached ?? prepare(this.db, sql);
    if (cached)
      this.#prepared.delete(sql); // moves it to the end of the map
    else if (this.#prepared.size >= MAX_CACHED_STATEMENTS) {
      this.#prepared.delete(this.#prepared.keys().next().value as string);
    }
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}

function prepare(db: Sqlite, sql: string): PreparedQuery {
  const statement = db.prepare(sql);
  const columns = statement.columns() as { name: string; type: string | null }[];
  const types = columns.map(({ type }) => declaredType(type));
  statement.setReturnArrays(true);
  // Integers beyond 2^53 are possible in BIGINT columns and in expressions such as SUM().
  if (types.some((type) => type === undefined || type === ColumnTypeEnum.Int64)) statement.setReadBigInts(true);
  return { statement, names: columns.map(({ name }) => name), types };
}
