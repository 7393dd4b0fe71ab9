/** Pages of long lists: a link shows the next part. */
import type { Page, PageRequest } from '../../base/paging.js';
import { queryParam } from '../http/body.js';
import type { Context } from '../http/context.js';

const SHOWN_AT_ONCE = 50;

/** Returns which part of a list to show, by a cursor in the query. */
export const pageOf = (ctx: Context, parameter = 'cursor'): PageRequest => ({
  limit: SHOWN_AT_ONCE,
  cursor: queryParam(ctx, parameter),
});

/** Returns the URL that shows the next part of the list. Undefined at its end. */
export const nextPageUrl = ({ next }: Page<unknown>, path: string, parameter = 'cursor'): string | undefined =>
  next && `${path}?${new URLSearchParams({ [parameter]: next })}`;
