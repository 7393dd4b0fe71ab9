/**
 * Reads what a form or a query says. A parser for each route, so that the provider gets its
 * requests untouched.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { AppError, invalidRequest, payloadTooLarge } from '../../base/app-error.js';
import { isStorable } from '../../base/text.js';
import type { Context, Handler } from './context.js';

const MAX_FORM_BYTES = 64 * 1024;

/** A field of a form; one that is left out is empty. */
export const field = z.string().max(4096).default('');

/** Parses an urlencoded body; anything else is not read. For the route line of a form. */
export const parseForm: Handler = async function parseForm(ctx, next) {
  if (ctx.is('urlencoded')) {
    const fields = new URLSearchParams(await readText(ctx, MAX_FORM_BYTES));
    for (const [name, value] of fields) if (!isStorable(name + value)) throw unstorable();
    (ctx.request as { body?: unknown }).body = Object.fromEntries(fields);
  }
  await next();
};

/** The body as text. */
export async function readText(ctx: Context, maxBytes: number): Promise<string> {
  return (await readBytes(ctx, maxBytes)).toString();
}

/** The body. Refuses with `payload_too_large` as soon as it is longer than that. */
export async function readBytes(ctx: Context, maxBytes: number): Promise<Buffer> {
  limitBody(ctx.req, ctx.res, maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  // Destroying the request, as a plain loop would when it is left, takes the answer's socket along.
  for await (const chunk of ctx.req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(ctx.res);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Rejects a body before it is read. Throws `unsupported_media_type` if it is compressed: it could
 * grow a thousandfold. Throws `payload_too_large` if its declared length exceeds `maxBytes`.
 */
export function limitBody({ headers }: IncomingMessage, res: ServerResponse, maxBytes: number): void {
  const encoding = headers['content-encoding'];
  if (encoding && encoding !== 'identity') {
    throw new AppError(415, 'unsupported_media_type', 'Send the body without compression.');
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(res);
}

/**
 * Refuses addresses with a NUL character before anything else looks at them: no store and no header
 * takes it.
 */
export const rejectInvalidUrl: Handler = async function rejectInvalidUrl(ctx, next) {
  if (/%00|\0/i.test(ctx.url)) throw unstorable();
  await next();
};

const unstorable = () => invalidRequest('The request holds a character that is not allowed.');

/** Closes the connection, so that the rest of the body is not waited for. */
function tooLarge(res: ServerResponse): Error {
  res.setHeader('Connection', 'close');
  return payloadTooLarge('The body is too large.');
}

/** The form's fields as the schema has them. Refuses with `invalid_request` by field. */
export function readForm<Schema extends z.ZodType>(ctx: Context, schema: Schema): z.output<Schema> {
  return parsed(schema, (ctx.request as { body?: unknown }).body ?? {}, 'form');
}

/**
 * The value as the schema has it. Refuses with `invalid_request` by field; what is wrong with all
 * of it is told of `whole`.
 */
export function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown, whole: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = Object.fromEntries(result.error.issues.map((issue) => [issue.path.join('.') || whole, issue.message]));
  throw invalidRequest('Some values are missing or malformed.', fields);
}

/** One query parameter as text. */
export function queryParam(ctx: Context, name: string): string | undefined {
  const value = ctx.query[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
