/**
 * The log: one JSON object per line on standard output. Members that can hold secrets are redacted.
 */
import { type Logger, pino } from 'pino';
import { createLineWriter } from './line-writer.js';

export type Log = Logger;

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
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths, censor: '[secret]' },
    serializers: { error: describeError },
  };
  return pino(options, destination ?? createLineWriter(1));
}

/**
 * Keeps what helps to find a bug, without members that libraries add to errors: requests, tokens,
 * SQL parameters.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    name,
    message,
    ...(code !== undefined && { errorCode: code }), // `code` alone is cut out
    stack,
    ...(cause !== undefined && { cause: describeError(cause) }),
  };
}
