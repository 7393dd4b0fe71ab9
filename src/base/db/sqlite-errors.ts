/**
 * Converts SQLite errors to Prisma errors, so that codes such as P2002 and P2003 are the same as on
 * PostgreSQL.
 */
import { DriverAdapterError, type MappedError } from '@prisma/driver-adapter-utils';

const GENERIC_ERROR = 1;
const BUSY = 5;
const CONSTRAINT_FOREIGN_KEY = 787;
const CONSTRAINT_NOT_NULL = 1299;
const CONSTRAINT_PRIMARY_KEY = 1555;
const CONSTRAINT_TRIGGER = 1811; // reported for a deferred foreign key
const CONSTRAINT_UNIQUE = 2067;

/** Runs a driver action and converts the SQLite errors that it throws. */
export function withPrismaErrors<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!isSqliteError(error)) throw error;
    const code = codeOf(error);
    const original = { originalCode: String(code), originalMessage: error.message };
    throw new DriverAdapterError({ ...original, ...toMappedError(code, error.message) });
  }
}

/** Reports whether another connection holds the lock. The action can be retried. */
export function isBusy(error: unknown): boolean {
  if (error instanceof DriverAdapterError) return error.cause.kind === 'SocketTimeout';
  return isSqliteError(error) && (codeOf(error) & 0xff) === BUSY;
}

type SqliteError = Error & { errcode?: number };

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && (error as { code?: string }).code === 'ERR_SQLITE_ERROR';
}

/**
 * Derives a missing code from the message: all() of @photostructure/sqlite 1.2 throws without one.
 */
function codeOf({ errcode, message }: SqliteError): number {
  if (errcode !== undefined) return errcode;
  if (message.startsWith('UNIQUE constraint failed')) return CONSTRAINT_UNIQUE;
  if (message.startsWith('NOT NULL constraint failed')) return CONSTRAINT_NOT_NULL;
  if (message.startsWith('FOREIGN KEY constraint failed')) return CONSTRAINT_FOREIGN_KEY;
  if (/^database( table| schema)? is locked/.test(message)) return BUSY;
  return GENERIC_ERROR;
}

function toMappedError(code: number, message: string): MappedError {
  const columns = message.split('constraint failed: ')[1]?.split(', ');
  const constraint = columns && { fields: columns.map((column) => column.split('.').pop() as string) };
  switch (code) {
    case CONSTRAINT_UNIQUE:
    case CONSTRAINT_PRIMARY_KEY: {
      const table = columns?.[0]?.split('.').slice(0, -1).join('.');
      return { kind: 'UniqueConstraintViolation', ...(constraint && { constraint }), ...(table && { table }) };
    }
    case CONSTRAINT_NOT_NULL:
      return { kind: 'NullConstraintViolation', ...(constraint && { constraint }) };
    case CONSTRAINT_FOREIGN_KEY:
    case CONSTRAINT_TRIGGER:
      return { kind: 'ForeignKeyConstraintViolation', constraint: { foreignKey: {} } };
  }
  if ((code & 0xff) === BUSY) return { kind: 'SocketTimeout' };
  const table = /^no such table: (.+)/.exec(message)?.[1];
  if (table) return { kind: 'TableDoesNotExist', table };
  const column = /^no such column: (.+)|has no column named (.+)/.exec(message);
  if (column) return { kind: 'ColumnNotFound', column: (column[1] ?? column[2]) as string };
  return { kind: 'sqlite', extendedCode: code, message };
}
