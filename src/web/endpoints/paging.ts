/** Pages of the lists of an API: `limit` and `cursor` in the query, a `Link` to the next page. */
import { z } from 'zod';
import { MAX_PAGE_SIZE, type Page } from '../../base/paging.js';
import type { Context } from '../http/context.js';
import { boundedString } from './json-body.js';

export const PageQuery = z.object({
  limit: z
    .preprocess(toInteger, z.int().min(1).max(MAX_PAGE_SIZE).default(MAX_PAGE_SIZE))
    .describe('The maximum number of items in the response.'),
  cursor: boundedString()
    .optional()
    .describe('The position after which the page starts. From the `Link` header of the previous page.'),
});
export type PageQuery = z.output<typeof PageQuery>;

/** Accepts only digits: `Number` would also convert `1e2` and an empty string. */
function toInteger(value: unknown): unknown {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
}

/**
 * Sends the items as an array. If there is a next page, its URL is in the `Link` header with the
 * relation `next` (RFC 8288).
 */
export function sendPage<Item>(ctx: Context, { items, next }: Page<Item>, serialize: (item: Item) => unknown): void {
  if (next !== undefined) {
    const query = new URLSearchParams(ctx.querystring);
    query.set('cursor', next);
    ctx.set('Link', `<${ctx.path}?${query}>; rel="next"`);
  }
  ctx.body = items.map(serialize);
}
