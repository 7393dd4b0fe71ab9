/** Reads what a form or a query says. A parser for each route, so that the provider gets its requests untouched. */
import { koaBody } from 'koa-body';
import type { z } from 'zod';
import { invalidRequest } from '../base/errors.js';
import type { Context, Handler } from './state.js';

const FORM_LIMIT = '64kb';

/** Parses an urlencoded body; anything else is not read. For the route line of a form. */
export const formBody = koaBody({
  urlencoded: true,
  json: false,
  text: false,
  multipart: false,
  formLimit: FORM_LIMIT,
}) as unknown as Handler;

/** The form's fields as the schema has them. Refuses with `invalid_request` by field. */
export function readForm<Schema extends z.ZodType>(ctx: Context, schema: Schema): z.output<Schema> {
  const body = (ctx.request as { body?: unknown }).body ?? {};
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const fields = Object.fromEntries(
    result.error.issues.map((issue) => [issue.path.join('.') || 'form', issue.message]),
  );
  throw invalidRequest('Some values are missing or malformed.', fields);
}

/** One query parameter as text. */
export function queryText(ctx: Context, name: string): string | undefined {
  const value = ctx.query[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
