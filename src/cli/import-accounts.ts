/**
 * account import: accounts of another system, one JSON object a line, with the hashes of their
 * passwords.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AppError } from '../base/app-error.js';
import { type Accounts, normalizeEmail } from '../core/accounts/accounts.js';
import { systemMeta } from '../core/request-meta.js';
import { type Command, UsageError } from './command.js';

const Line = z.strictObject(
  {
    email: z.string(),
    name: z.string().nullish(),
    email_verified: z.boolean().default(false),
    password_hash: z.string().nullish(),
    role: z.enum(['admin', 'viewer']).default('viewer'),
  },
  { error: ({ code }) => (code === 'invalid_type' ? 'This is no JSON object.' : undefined) },
);

/** What a line says, by the number that an editor shows. */
type Numbered = z.infer<typeof Line> & { number: number };

export const importAccounts: Command = {
  name: 'account import',
  description:
    'Makes accounts from a file of JSON lines: email, name, email_verified, password_hash, role; only email is needed. ' +
    'Nothing is made when a line is wrong. Addresses that have an account already are skipped.',
  takes: ['file.jsonl'],
  async run(args, { open }) {
    const text = readText(args.at(0));
    const { accounts } = (await open()).core;
    const lines = await readLines(text, accounts);
    const skipped: Numbered[] = [];
    for (const line of lines) if (!(await make(line, accounts))) skipped.push(line);
    const made = lines.length - skipped.length;
    return {
      json: { made, skipped: skipped.map(({ number, email }) => ({ line: number, email })) },
      text: [
        `${made} ${made === 1 ? 'account was' : 'accounts were'} made.`,
        ...skipped.map(({ number, email }) => `Line ${number} was skipped: ${email} has an account already.`),
      ].join('\n'),
    };
  },
};

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError([`${file} cannot be read: ${(error as Error).message}`]);
  }
}

/** Throws all that is wrong, by line. A hash is never repeated there. */
async function readLines(text: string, accounts: Accounts): Promise<Numbered[]> {
  const lines: Numbered[] = [];
  const errors: string[] = [];
  const numberOf = new Map<string, number>();
  for (const [index, row] of text.split('\n').entries()) {
    const trimmed = row.trim(); // of a byte order mark, too
    if (trimmed === '') continue;
    const number = index + 1;
    const { success, data, error } = Line.safeParse(parseJson(trimmed));
    if (!success) {
      errors.push(...error.issues.map(({ path, message }) => `Line ${number}: ${[...path, message].join(': ')}`));
      continue;
    }
    const { passwordHash, ...found } = await accounts.errorsOf(toAccount(data));
    const wrong = { ...found, ...(passwordHash && { password_hash: passwordHash }) };
    errors.push(...Object.entries(wrong).map(([field, problem]) => `Line ${number}: ${field}: ${problem}`));
    const email = normalizeEmail(data.email);
    const earlier = numberOf.get(email);
    if (earlier) errors.push(`Line ${number}: email: It is that of line ${earlier}, too.`);
    else numberOf.set(email, number);
    lines.push({ ...data, email, number });
  }
  if (errors.length > 0) throw new Error([...errors, 'No account was made.'].join('\n'));
  return lines;
}

/** Undefined for what is no JSON, which is no object either. */
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

/** False when the address has an account, perhaps since a moment ago. */
async function make(line: Numbered, accounts: Accounts): Promise<boolean> {
  if (await accounts.findByEmail(line.email)) return false;
  try {
    await accounts.create(toAccount(line), systemMeta, { role: line.role, verified: line.email_verified });
    return true;
  } catch (error) {
    if (error instanceof AppError && error.status === 409) return false;
    throw error;
  }
}
