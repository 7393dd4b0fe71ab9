/**
 * Reads what a program posts: JSON, or a form where the route says so. What is wrong with it is
 * told by field.
 */
import { z } from 'zod';
import { AppError, invalidRequest } from '../../base/app-error.js';
import { isStorable } from '../../base/text.js';
import { parsed, readBytes } from '../http/body.js';
import type { Context } from '../http/context.js';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_TEXT_LENGTH = 4096;

/** Text that can be stored. */
export const text = (maxLength = MAX_TEXT_LENGTH) =>
  z
    .string('Give a text.')
    .max(maxLength, `Use at most ${maxLength} characters.`)
    .refine(isStorable, 'Use characters only.');

/**
 * The body as the schema has it; a null that says nothing there is as good as left out, for many
 * clients write it for what they have not got. Refuses with `invalid_request` by field,
 * `unsupported_media_type` or `payload_too_large`.
 */
export async function readBody<Schema extends z.ZodType>(
  ctx: Context,
  schema: Schema,
  { form = false }: { form?: boolean | undefined } = {},
): Promise<z.output<Schema>> {
  const value = await parse(ctx, form);
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  for (const { path } of error.issues) leaveOutNull(value, path);
  return parsed(schema, value, 'body');
}

function leaveOutNull(value: unknown, [name, ...deeper]: PropertyKey[]): void {
  if (typeof value !== 'object' || value === null || name === undefined || !Object.hasOwn(value, name)) return;
  const members = value as Record<PropertyKey, unknown>;
  if (deeper.length > 0) leaveOutNull(members[name], deeper);
  else if (members[name] === null && !Array.isArray(value)) delete members[name];
}

async function parse(ctx: Context, form: boolean): Promise<unknown> {
  const bytes = await readBytes(ctx, MAX_BODY_BYTES);
  if (bytes.length === 0) return {};
  const isForm = form && ctx.is('urlencoded');
  if (!isForm && !ctx.is('json')) {
    throw new AppError(415, 'unsupported_media_type', `Send ${form ? 'JSON or a form' : 'JSON'}.`);
  }
  return isForm ? fieldsOf(new URLSearchParams(decode(bytes))) : readJson(bytes);
}

/**
 * What the bytes say; nothing at all is an empty object. Refuses with `invalid_request` what is no
 * JSON.
 */
export function readJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(decode(bytes));
  } catch (error) {
    throw error instanceof AppError ? error : invalidRequest('The body is not JSON.');
  }
}

/**
 * Of two values nobody knows which one is meant, and a filter on the way may have looked at the
 * other.
 */
function fieldsOf(form: URLSearchParams): Record<string, string> {
  const twice = [...form.keys()].filter((name, n, names) => names.indexOf(name) !== n);
  if (twice.length === 0) return Object.fromEntries(form);
  throw invalidRequest(
    'Some fields are there twice.',
    Object.fromEntries(twice.map((name) => [name, 'Give it once.'])),
  );
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalidRequest('The body is not UTF-8.');
  }
}
