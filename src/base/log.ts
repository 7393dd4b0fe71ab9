/**
 * The log: one JSON object per line on standard output. Members that can hold secrets are redacted.
 */
import { type Logger, pino } from 'pino';
import { createLineWriter } from './line-writer.js';

export type Log = Logger;

const MAX_TEXT_LENGTH = 2000;
const SECRET_MEMBERS = [
  'password',
  'secret',
  'client_secret',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'code',
  'code_verifier',
  'authorization',
  'cookie',
  'csrf',
  'otp',
];

/** Creates the log. `destination` is for tests and for the command line. */
export function createLog(level: string, destination?: { write(line: string): void }): Log {
  const paths = SECRET_MEMBERS.flatMap((member) => [member, `*.${member}`]);
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: shortenFields },
    redact: { paths, censor: '[secret]' },
    serializers: { error: serializeError },
  };
  return pino(options, destination ?? createLineWriter(1));
}

/** Shortens long texts, because many come from requests, such as a path of 30 kB. */
function shortenFields(fields: Record<string, unknown>): Record<string, unknown> {
  for (const name in fields) {
    const value = fields[name];
    if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH) {
      return Object.fromEntries(Object.entries(fields).map(([key, text]) => [key, shorten(text)]));
    }
  }
  return fields;
}

const shorten = <Value>(value: Value) =>
  typeof value === 'string' && value.length > MAX_TEXT_LENGTH ? `${value.slice(0, MAX_TEXT_LENGTH)}…` : value;

/**
 * Omits members that libraries add to errors, because they can hold secrets: requests, tokens, SQL
 * parameters.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, cause } = error;
  const [message, stack] = [shorten(error.message), shorten(error.stack)];
  const { code } = error as { code?: unknown };
  return {
    name,
    message,
    ...(code !== undefined && { errorCode: code }), // not `code`, which is redacted
    stack,
    ...(cause !== undefined && { cause: serializeError(cause) }),
  };
}
