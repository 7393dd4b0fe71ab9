/** Validates the bodies of the JSON API. */
import { z } from 'zod';
import { AppError, invalidRequest } from '../../base/app-error.js';
import { isStorable } from '../../base/text.js';
import { parseBody, validate } from '../http/body.js';
import type { Context } from '../http/context.js';

const MAX_TEXT_LENGTH = 4096;

/**
 * Describes a string of limited length. Rejects characters that databases cannot store, such as
 * NUL.
 */
export const boundedString = (maxLength = MAX_TEXT_LENGTH) =>
  z
    .string('Must be a string.')
    .max(maxLength, `Must have at most ${maxLength} characters.`)
    .refine(isStorable, 'Contains a character that is not allowed.');

/**
 * Returns the body as the schema converts it. A null that the schema does not allow counts as
 * absent, because many clients send null for missing values. Throws `AppError` like `parseBody`,
 * with an error for each invalid field. `form` also accepts an urlencoded form.
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
  return validate(schema, value, 'body');
}

/** Removes the member at this path if it is null. */
function removeNull(value: unknown, [name, ...rest]: PropertyKey[]): void {
  if (typeof value !== 'object' || value === null || name === undefined || !Object.hasOwn(value, name)) return;
  const members = value as Record<PropertyKey, unknown>;
  if (rest.length > 0) removeNull(members[name], rest);
  else if (members[name] === null && !Array.isArray(value)) delete members[name];
}

/** Parses JSON; an empty body is `{}`. Throws `invalid_request` if it is not JSON or not UTF-8. */
export function readJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(decodeUtf8(bytes));
  } catch (error) {
    throw error instanceof AppError ? error : invalidRequest('The body is not valid JSON.');
  }
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalidRequest('The body is not UTF-8.');
  }
}
