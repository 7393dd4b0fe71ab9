/**
 * What a command of the terminal is, and how its arguments are read: all that is wrong with them is
 * told at once.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Base } from '../base/base.js';
import type { Config } from '../base/config.js';
import type { Core } from '../core/core.js';

export type Option = {
  type: 'string' | 'boolean';
  description: string;
  multiple?: boolean;
  required?: boolean;
};

/** Text options by name, repeated ones as a list, switches as true. */
export interface Arguments {
  text(name: string): string | undefined;
  list(name: string): string[];
  has(name: string): boolean;
  /** The nth argument without a name. */
  at(index: number): string;
}

export interface Answer {
  /** For machines: what --json prints. */
  json: unknown;
  /** For people. */
  text: string;
  /** The command ran, and what it found is bad: ends with 1. */
  bad?: boolean;
}

/** What a command may use. The house is opened only by those that ask for it. */
export interface CommandContext {
  config(): Config;
  open(): Promise<{ base: Base; core: Core }>;
  /** Everything on standard input. */
  input(): Promise<string>;
}

export interface Command {
  name: string;
  description: string;
  /** Names of the arguments without a name, all of them needed. */
  takes?: string[];
  options?: Record<string, Option>;
  /** What the options together do not allow: one sentence each. */
  errors?(args: Arguments): string[];
  run(args: Arguments, surroundings: CommandContext): Promise<Answer>;
}

/** The command line itself is wrong: ends with 64, as sysexits.h has it. */
export class UsageError extends Error {
  constructor(readonly errors: string[]) {
    super(errors.join('\n'));
  }
}

/** For every command. */
const COMMON_OPTIONS: Record<string, Option> = {
  json: { type: 'boolean', description: 'print JSON' },
  help: { type: 'boolean', description: 'say what the command does' },
};

/** Reads the words after the command's name. Throws a UsageError with all faults. */
export function readArguments(command: Command, words: string[]): Arguments {
  const options = { ...command.options, ...COMMON_OPTIONS };
  const known = Object.fromEntries(Object.entries(options).map(([name, { type }]) => [name, { type, multiple: true }]));
  const { tokens, positionals } = parseArgs({
    args: words,
    options: known as ParseArgsConfig['options'],
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values = new Map<string, string[]>();
  const errors: string[] = [];
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    const option = options[name];
    const given = values.get(name) ?? [];
    if (!option) errors.push(`There is no option ${rawName}.`);
    else if (option.type === 'boolean' && value !== undefined) errors.push(`${rawName} takes no value.`);
    else if (option.type === 'string' && (!value || (!inlineValue && value.startsWith('-'))))
      errors.push(`${rawName} needs a value.`);
    else if (given.length > 0 && !option.multiple) errors.push(`${rawName} is given twice.`);
    values.set(name, [...given, value ?? '']);
  }
  const args: Arguments = {
    text: (name) => values.get(name)?.[0],
    list: (name) => values.get(name) ?? [],
    has: (name) => values.has(name),
    at: (index) => positionals[index] ?? '',
  };
  if (args.has('help')) return args;
  for (const [name, { required }] of Object.entries(options))
    if (required && !values.has(name)) errors.push(`--${name} is missing.`);
  const takes = command.takes ?? [];
  for (const missing of takes.slice(positionals.length)) errors.push(`<${missing}> is missing.`);
  for (const extra of positionals.slice(takes.length)) errors.push(`"${extra}" is one argument too many.`);
  errors.push(...(command.errors?.(args) ?? []));
  if (errors.length > 0) throw new UsageError(errors);
  return args;
}

export function helpFor({ name, description, takes = [], options = {} }: Command): string {
  const all = Object.entries({ ...options, ...COMMON_OPTIONS });
  const rows = all.map(([option, { type, description, multiple, required }]) => [
    `  --${option}${type === 'string' ? ' <text>' : ''}`,
    [description, multiple && 'repeatable', required && 'needed'].filter(Boolean).join('; '),
  ]);
  return `${[name, ...takes.map((word) => `<${word}>`)].join(' ')}\n  ${description}\n\n${table(rows)}`;
}

/** Rows in columns. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '))
    .join('\n');
}
