/** Converts values between Prisma and SQLite: column types, results and parameters. */
import { type ArgType, type ColumnType, ColumnTypeEnum, DriverAdapterError } from '@prisma/driver-adapter-utils';

type SqliteValue = null | number | bigint | string | Uint8Array;

const TYPES_BY_DECLARATION: Readonly<Record<string, ColumnType>> = {
  TEXT: ColumnTypeEnum.Text,
  INTEGER: ColumnTypeEnum.Int32,
  INT: ColumnTypeEnum.Int32,
  BIGINT: ColumnTypeEnum.Int64,
  BOOLEAN: ColumnTypeEnum.Boolean,
  DATETIME: ColumnTypeEnum.DateTime,
  JSONB: ColumnTypeEnum.Json,
  BLOB: ColumnTypeEnum.Bytes,
  REAL: ColumnTypeEnum.Double,
};

/** Returns the type of a column by its declaration. Undefined for expressions and PRAGMAs. */
export function declaredType(declared: string | null): ColumnType | undefined {
  return TYPES_BY_DECLARATION[declared?.toUpperCase() ?? ''];
}

/** Infers the type of an expression from its first value that is not null. */
export function inferredType(rows: unknown[][], column: number): ColumnType {
  const sample = rows.find((row) => row[column] !== null)?.[column];
  switch (typeof sample) {
    case 'string':
      return ColumnTypeEnum.Text;
    case 'bigint':
      return ColumnTypeEnum.Int64;
    case 'number':
      return ColumnTypeEnum.UnknownNumber;
    case 'object':
      return ColumnTypeEnum.Bytes;
    default:
      return ColumnTypeEnum.Int32;
  }
}

/** Converts a value from SQLite to the form that Prisma expects for the column type. */
export function fromSqlite(value: unknown, type: ColumnType): unknown {
  if (typeof value === 'bigint') return type === ColumnTypeEnum.Int64 ? value.toString() : Number(value);
  if (type === ColumnTypeEnum.DateTime && typeof value === 'number') return new Date(value).toISOString();
  return value;
}

/** Converts a parameter from Prisma to a value that SQLite stores. */
export function toSqlite(value: unknown, type: ArgType | undefined): SqliteValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Date) return timestamp(value);
  if (typeof value !== 'string') return value as SqliteValue;
  rejectNul(value, type);
  switch (type?.scalarType) {
    case 'int':
    case 'bigint':
      return BigInt(value);
    case 'float':
    case 'decimal':
      return Number(value);
    case 'datetime':
      return timestamp(new Date(value));
    case 'bytes':
      return Buffer.from(value, 'base64');
    default:
      return value;
  }
}

/** Formats dates with a fixed width, so that text order is time order. */
function timestamp(date: Date): string {
  return date.toISOString().replace('Z', '+00:00');
}

/** Rejects NUL, like PostgreSQL. The driver would truncate the text there when reading it. */
function rejectNul(value: string, type: ArgType | undefined): void {
  const hasEscapedNul = type?.scalarType === 'json' && /(?<!\\)(?:\\\\)*\\u0000/.test(value);
  if (!hasEscapedNul && !value.includes('\0')) return;
  throw new DriverAdapterError({ kind: 'InvalidInputValue', message: 'NUL character in a string' });
}
