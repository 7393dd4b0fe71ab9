/** `signet account import`: creates accounts of another system, one JSON object per line. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { AppError } from '../base/app-error.js';
import { systemMeta } from '../base/request-meta.js';
import type { Accounts } from '../core/accounts/accounts.js';
import { normalizeEmail } from '../core/accounts/fields.js';
import { type Cli, UsageError, withExamples } from './command.js';

const Line = z.strictObject(
  {
    email: z.string(),
    name: z.string().nullish(),
    email_verified: z.boolean().default(false),
    password_hash: z.string().nullish(),
    role: z.enum(['admin', 'viewer']).default('viewer'),
  },
  { error: ({ code }) => (code === 'invalid_type' ? 'This is not a JSON object.' : undefined) },
);

/** A line with its number, counted from 1. */
type NumberedLine = z.infer<typeof Line> & { number: number };

/** Adds `signet account import`. */
export function addAccountImport(account: Command, cli: Cli): void {
  const command = account
    .command('import')
    .argument('<file.jsonl>', 'file with one JSON object per line')
    .description(
      'Creates accounts from a file with one JSON object per line. Members: email (required), name, email_verified, password_hash, role. ' +
        'If a line is invalid, no account is created. E-mail addresses that have an account are skipped.',
    )
    .summary('Creates accounts from a file with one JSON object per line.')
    .action(
      cli.action(async (file: string) => {
        const text = readText(file);
        const { accounts } = (await cli.open()).core;
        const lines = await readLines(text, accounts);
        const skipped: NumberedLine[] = [];
        for (const line of lines) if (!(await create(line, accounts))) skipped.push(line);
        const created = lines.length - skipped.length;
        return {
          json: { made: created, skipped: skipped.map(({ number, email }) => ({ line: number, email })) },
          text: [
            `${created} ${created === 1 ? 'account was' : 'accounts were'} created.`,
            ...skipped.map(({ number, email }) => `Line ${number} was skipped: ${email} already has an account.`),
          ].join('\n'),
        };
      }),
    );
  withExamples(command, 'account import accounts.jsonl');
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError([`${file} cannot be read: ${(error as Error).message}`]);
  }
}

/** Parses and checks all lines. Throws one `Error` with all messages, which never quote a hash. */
async function readLines(text: string, accounts: Accounts): Promise<NumberedLine[]> {
  const lines: NumberedLine[] = [];
  const errors: string[] = [];
  const lineNumbersByEmail = new Map<string, number>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim(); // also removes a byte order mark
    if (trimmed === '') continue;
    const number = index + 1;
    const { success, data, error } = Line.safeParse(parseJson(trimmed));
    if (!success) {
      errors.push(...error.issues.map(({ path, message }) => `Line ${number}: ${[...path, message].join(': ')}`));
      continue;
    }
    const { passwordHash, ...otherErrors } = await accounts.errorsOf(toAccount(data));
    const fieldErrors = { ...otherErrors, ...(passwordHash && { password_hash: passwordHash }) };
    errors.push(...Object.entries(fieldErrors).map(([field, message]) => `Line ${number}: ${field}: ${message}`));
    const email = normalizeEmail(data.email);
    const earlierNumber = lineNumbersByEmail.get(email);
    if (earlierNumber) errors.push(`Line ${number}: email: Line ${earlierNumber} has the same e-mail address.`);
    else lineNumbersByEmail.set(email, number);
    lines.push({ ...data, email, number });
  }
  if (errors.length > 0) throw new Error([...errors, 'No account was created.'].join('\n'));
  return lines;
}

/** Returns undefined for invalid JSON, which the schema rejects as well. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const toAccount = ({ email, name, password_hash }: z.infer<typeof Line>) => ({
  email,
  name: name ?? undefined,
  passwordHash: password_hash ?? null,
});

/** Creates an account. Returns false if the e-mail address already has an account. */
async function create(line: NumberedLine, accounts: Accounts): Promise<boolean> {
  if (await accounts.findByEmail(line.email)) return false;
  try {
    await accounts.create(toAccount(line), systemMeta, { role: line.role, verified: line.email_verified });
    return true;
  } catch (error) {
    if (error instanceof AppError && error.status === 409) return false;
    throw error;
  }
}
