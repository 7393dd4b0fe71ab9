/**
 * Parses request bodies with koa-body, for our own routes only: oidc-provider reads the bodies of
 * its endpoints itself. Adds what koa-body does not check: compression, encoding, duplicate fields.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpMethodEnum, koaBody } from 'koa-body';
import { z } from 'zod';
import { AppError, invalidRequest, payloadTooLarge, withBound } from '../../base/app-error.js';
import { isStorable } from '../../base/text.js';
import type { Context, Handler } from './context.js';

const MAX_BODY_BYTES = 64 * 1024;
/**
 * The fields of a form, and the parameters of a query. koa-body and Koa parse them in quadratic
 * time.
 */
const MAX_FIELDS = 200;

/**
 * Replaces any other content type, so that koa-body reads the body as text. Whether it is empty is
 * known only then.
 */
const OTHER_TYPE = 'application/octet-stream';

const KOA_BODY_OPTIONS = {
  jsonTypes: ['json'],
  textTypes: [OTHER_TYPE],
  jsonStrict: false,
  includeUnparsed: true,
  jsonLimit: MAX_BODY_BYTES,
  formLimit: MAX_BODY_BYTES,
  textLimit: MAX_BODY_BYTES,
  parsedMethods: Object.values(HttpMethodEnum),
  // Flat fields under their literal names; a duplicate becomes an array or an object.
  queryString: {
    allowDots: false,
    depth: 0,
    parseArrays: false,
    plainObjects: true,
    parameterLimit: MAX_FIELDS,
    throwOnLimitExceeded: true,
  },
};

export type BodyType = 'json' | 'urlencoded';

const parser = koaBody(KOA_BODY_OPTIONS) as Handler;

/** A form field. An absent field is an empty string. */
export const field = z.string().max(4096).default('');

/**
 * Parses a body of one of these types; an empty one is `{}`. Throws `AppError`:
 * `unsupported_media_type`, `payload_too_large`, or `invalid_request` if it is not
 * valid UTF-8 or cannot be parsed.
 */
export async function parseBody(ctx: Context, types: BodyType[]): Promise<unknown> {
  limitBody(ctx.req, ctx.res, MAX_BODY_BYTES);
  const type = types.find((candidate) => ctx.is(candidate));
  if (!type) ctx.req.headers['content-type'] = OTHER_TYPE;
  const assertUtf8 = watchEncoding(ctx.req);
  try {
    await parser(ctx, async () => {});
  } catch (error) {
    throw toAppError(error, ctx.res, MAX_BODY_BYTES);
  }
  assertUtf8();
  const { body, rawBody } = ctx.request as { body?: unknown; rawBody?: string };
  if (!rawBody) return {};
  if (!type) throw unsupportedType(types);
  return type === 'urlencoded' ? uniqueFields(body as Record<string, unknown>) : body;
}

/** Koa middleware of a page: parses an urlencoded form for `readForm`. Ignores other bodies. */
export const parseForm: Handler = async function parseForm(ctx, next) {
  if (ctx.is('urlencoded')) {
    const fields = (await parseBody(ctx, ['urlencoded'])) as Record<string, string>;
    for (const name in fields) if (!isStorable(name + fields[name])) throw forbiddenCharacter();
    (ctx.request as { body?: unknown }).body = fields;
  }
  await next();
};

/** Reads a body as text, without parsing. Throws `payload_too_large` as soon as it is too long. */
export async function readText(ctx: Context, maxBytes: number): Promise<string> {
  limitBody(ctx.req, ctx.res, maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  // By default, leaving the loop would destroy the request, and with it the response's socket.
  try {
    for await (const chunk of ctx.req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(ctx.res, maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof AppError ? error : toAppError(error, ctx.res, maxBytes); // the client disconnected
  }
  return Buffer.concat(chunks).toString();
}

/**
 * Rejects a body before it is read. Throws `unsupported_media_type` if it is compressed: a small
 * body could expand a thousandfold. Throws `payload_too_large` if its declared length exceeds
 * `maxBytes`.
 */
export function limitBody({ headers }: IncomingMessage, res: ServerResponse, maxBytes: number): void {
  const encoding = headers['content-encoding'];
  if (encoding && encoding !== 'identity') {
    throw new AppError(415, 'unsupported_media_type', 'Send the body without compression.');
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(res, maxBytes);
}

/**
 * Koa middleware: rejects URLs with a NUL character, which no store and no header accepts, and URLs
 * with too many parameters.
 */
export const rejectInvalidUrl: Handler = async function rejectInvalidUrl(ctx, next) {
  if (/%00|\0/i.test(ctx.url)) throw forbiddenCharacter();
  if (ctx.querystring.split('&').length > MAX_FIELDS)
    throw withBound('query', invalidRequest(`A query can have at most ${MAX_FIELDS} parameters.`));
  await next();
};

/** Returns the form's fields. Throws `invalid_request` with an error for each invalid field. */
export function readForm<Schema extends z.ZodType>(ctx: Context, schema: Schema): z.output<Schema> {
  return validate(schema, (ctx.request as { body?: unknown }).body ?? {}, 'form');
}

/**
 * Returns the value as the schema converts it. Throws `invalid_request` with an error for each
 * invalid field. `name` stands for the whole value in these errors.
 */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown, name: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = Object.fromEntries(result.error.issues.map((issue) => [issue.path.join('.') || name, issue.message]));
  throw invalidRequest('Some values are missing or invalid.', fields);
}

/** Returns a query parameter. Undefined if it is absent, empty or repeated. */
export function queryParam(ctx: Context, name: string): string | undefined {
  const value = ctx.query[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Checks the bytes while koa-body reads them, because koa-body replaces invalid ones silently.
 * Returns a function that throws `invalid_request` if there were any.
 */
function watchEncoding(req: IncomingMessage): () => void {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let isUtf8 = true;
  req.on('data', (chunk: Buffer) => check(chunk));

  return function assertUtf8() {
    check();
    if (!isUtf8) throw invalidRequest('The body is not UTF-8.');
  };

  function check(chunk?: Buffer): void {
    try {
      if (isUtf8) decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      isUtf8 = false;
    }
  }
}

/** Throws for duplicate fields: a proxy may have checked another value than the one used here. */
function uniqueFields(fields: Record<string, unknown>): Record<string, string> {
  const duplicates = Object.keys(fields).filter((name) => typeof fields[name] !== 'string');
  if (duplicates.length === 0) return fields as Record<string, string>;
  const errors = duplicates.map((name) => [name, 'Send this field once.']);
  throw invalidRequest('Some fields appear more than once.', Object.fromEntries(errors));
}

/** Replaces koa-body's errors. They contain the body, which must not be logged. */
function toAppError(error: unknown, res: ServerResponse, maxBytes: number): AppError {
  if ((error as { status?: number }).status === 413) return tooLarge(res, maxBytes);
  if (error instanceof RangeError) {
    return withBound('form', invalidRequest(`A form can have at most ${MAX_FIELDS} fields.`));
  }
  if (error instanceof SyntaxError) return invalidRequest('The body is not valid JSON.');
  return invalidRequest('The body cannot be read.');
}

/** Returns the message for a body that is larger than `maxBytes`. */
export const bodyTooLarge = (maxBytes: number) => `The body is larger than ${maxBytes} bytes.`;

function unsupportedType(types: BodyType[]): AppError {
  const expected = types.includes('urlencoded') ? 'JSON or a form' : 'JSON';
  return new AppError(415, 'unsupported_media_type', `Send ${expected}.`);
}

const forbiddenCharacter = () => invalidRequest('The request contains a character that is not allowed.');

/** Closes the connection, so that the server does not wait for the rest of the body. */
function tooLarge(res: ServerResponse, maxBytes: number): AppError {
  res.setHeader('Connection', 'close');
  return withBound('body', payloadTooLarge(bodyTooLarge(maxBytes)));
}
