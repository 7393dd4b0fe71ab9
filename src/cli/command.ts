/** The common part of the commands: access to the core, results, and wrong usage. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Base } from '../base/base.js';
import type { Config } from '../base/config.js';
import type { Core } from '../core/core.js';

export interface Result {
  /** Printed with `--json`. */
  json: unknown;
  /** Printed otherwise. */
  text: string;
  /** Whether the command found a problem: the exit code is 1. */
  failed?: boolean;
}

export interface Cli {
  config(): Config;
  /** Opens the stores and the core, once. Help and wrong usage do not need them. */
  open(): Promise<{ base: Base; core: Core }>;
  /** Reads standard input to its end. */
  input(): Promise<string>;
  /** Returns an action for commander that prints the result of `work`. */
  action<Parameters extends unknown[]>(
    work: (...parameters: Parameters) => Promise<Result>,
  ): (...parameters: Parameters) => Promise<void>;
}

/** Thrown for options that do not fit together. The exit code is 64, EX_USAGE of sysexits.h. */
export class UsageError extends Error {
  constructor(readonly problems: string[]) {
    super(problems.map((problem) => `error: ${problem}`).join('\n'));
  }
}

/** Throws a `UsageError` with all problems, if there are any. Falsy entries are ignored. */
export function rejectUsage(problems: (string | false | undefined)[]): void {
  const found = problems.filter((problem): problem is string => Boolean(problem));
  if (found.length > 0) throw new UsageError(found);
}

/** Collects the values of an option that can be repeated. */
export const collect = (value: string, previous: string[] = []) => [...previous, value];

/** Parses `--limit`. */
export function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('It must be an integer from 1 to 99999.');
  return Number(text);
}

/** Adds examples to the help of a command. Each one is a command line without `signet`. */
export function withExamples(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ signet ${line}`).join('\n')}`);
}

/** Aligns rows in columns. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '))
    .join('\n');
}
