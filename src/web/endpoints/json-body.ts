/** Validates the bodies of the JSON API. */
import { z } from 'zod';
import { AppError, invalidRequest } from '../../base/app-error.js';
import { isStorable } from '../../base/text.js';
import { parseBody, parsed } from '../http/body.js';
import type { Context } from '../http/context.js';

const MAX_TEXT_LENGTH = 4096;

/** A string without NUL characters and unpaired surrogates, which no database stores. */
export const text = (maxLength = MAX_TEXT_LENGTH) =>
  z
    .string('Must be a string.')
    .max(maxLength, `Must have at most ${maxLength} characters.`)
    .refine(isStorable, 'Contains a character that is not allowed.');

/**
 * Returns the body in the form of the schema. A null where the schema has none counts as absent,
 * because many clients send null for values that they do not have. Throws `AppError` like
 * `parseBody`, with an error for each invalid field. `form` also accepts an urlencoded form.
 */
export async function readBody<Schema extends z.ZodType>(
  ctx: Context,
  schema: Schema,
  { form = false }: { form?: boolean | undefined } = {},
): Promise<z.output<Schema>> {
  const value = await parseBody(ctx, form ? ['urlencoded', 'json'] : ['json']);
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  for (const { path } of error.issues) removeNull(value, path);
  return parsed(schema, value, 'body');
}

function removeNull(value: unknown, [name, ...deeper]: PropertyKey[]): void {
  if (typeof value !== 'object' || value === null || name === undefined || !Object.hasOwn(value, name)) return;
  const members = value as Record<PropertyKey, unknown>;
  if (deeper.length > 0) removeNull(members[name], deeper);
  else if (members[name] === null && !Array.isArray(value)) delete members[name];
}

/** Parses JSON; an empty body is `{}`. Throws `invalid_request` if it is not JSON or not UTF-8. */
export function readJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(decode(bytes));
  } catch (error) {
    throw error instanceof AppError ? error : invalidRequest('The body is not valid JSON.');
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalidRequest('The body is not UTF-8.');
  }
}
