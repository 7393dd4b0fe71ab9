/** The common part of all commands: access to the services, results, and usage errors. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Base } from '../base/base.js';
import type { Config } from '../base/config.js';
import type { Core } from '../core/core.js';

export interface Result {
  /** Printed with `--json`. */
  json: unknown;
  /** Printed otherwise. */
  text: string;
  /** Whether the exit code is 1. */
  failed?: boolean;
}

export interface Cli {
  config(): Config;
  /** Opens the database and the core. Later calls return the same ones. */
  open(): Promise<{ base: Base; core: Core }>;
  /** Reads standard input to its end. */
  readStdin(): Promise<string>;
  /** Returns an action for commander that prints the result of `work`. */
  action<Parameters extends unknown[]>(
    work: (...parameters: Parameters) => Promise<Result>,
  ): (...parameters: Parameters) => Promise<void>;
}

/** Thrown for options that contradict each other. The exit code is 64. */
export class UsageError extends Error {
  constructor(readonly messages: string[]) {
    super(messages.map((message) => `error: ${message}`).join('\n'));
  }
}

/** Throws a `UsageError` with all messages, if there are any. Ignores falsy entries. */
export function throwUsageErrors(results: (string | false | undefined)[]): void {
  const messages = results.filter((result): result is string => Boolean(result));
  if (messages.length > 0) throw new UsageError(messages);
}

/** Collects the values of an option that can be repeated. */
export const collect = (value: string, previous: string[] = []) => [...previous, value];

/** Parses `--limit`. */
export function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('It must be an integer from 1 to 99999.');
  return Number(text);
}

/** Adds examples to the help of a command: command lines without `signet`. */
export function withExamples(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ signet ${line}`).join('\n')}`);
}

/** Formats rows as text with aligned columns. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '))
    .join('\n');
}
