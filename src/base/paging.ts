/**
 * Pages of lists. A page starts after a row, not at an offset. So rows that were created or deleted
 * in the meantime shift nothing, and a late page costs as much as the first one.
 */
import { invalidRequest } from './app-error.js';
import { isStorable } from './text.js';

export interface PageRequest {
  /** The maximum number of items. */
  limit: number;
  /** The `next` of the previous page. Absent for the first page. */
  cursor?: string | undefined;
}

export interface Page<Item> {
  items: Item[];
  /** The cursor of the next page. Undefined on the last page. */
  next: string | undefined;
}

export const MAX_PAGE_SIZE = 200;
/** For callers that show one page only. */
export const FIRST_PAGE: PageRequest = { limit: MAX_PAGE_SIZE };

/** The largest time in ms that both databases can store: the end of the year 9999. */
const MAX_TIME = 253_402_300_799_999;

/**
 * The order of a list. `key` is a unique column of text. `date` is a column by which rows are
 * sorted before it. An index should have both columns.
 */
interface Order<DateColumn extends string, KeyColumn extends string> {
  /** The name of the list. Other lists reject its cursors. */
  list: string;
  date?: DateColumn;
  key: KeyColumn;
  direction: 'asc' | 'desc';
}

/** The values of a row's columns in the order. */
interface Position {
  date?: Date;
  key: string;
}

/**
 * Creates the parts of a Prisma query for an order:
 * `{ where: { ...filter, ...order.after(page) }, orderBy: order.orderBy, take: order.take(page) }`.
 */
export function createPageOrder<KeyColumn extends string, DateColumn extends string = never>({
  list,
  date,
  key,
  direction,
}: Order<DateColumn, KeyColumn>) {
  type Row = Record<KeyColumn, string> & Partial<Record<DateColumn, Date>>;
  const isAfter = direction === 'asc' ? 'gt' : 'lt';
  const orderBy = [...(date ? [{ [date]: direction }] : []), { [key]: direction }] as Record<
    DateColumn | KeyColumn,
    'asc' | 'desc'
  >[];

  return { orderBy, after, take, toPage };

  /**
   * Returns the filter of the rows that follow the cursor. Throws `AppError` `invalid_request` for
   * an invalid cursor.
   */
  function after({ cursor }: PageRequest): { AND?: object[] } {
    if (cursor === undefined) return date ? { AND: [anyDate(date)] } : {};
    const position = decode(cursor, list, date !== undefined);
    const filter = date
      ? {
          [date]: { [`${isAfter}e`]: position.date },
          OR: [{ [date]: { [isAfter]: position.date } }, { [key]: { [isAfter]: position.key } }],
        }
      : { [key]: { [isAfter]: position.key } };
    return { AND: [filter] };
  }

  /** Returns the number of rows to read: one more than the page shows if there is a next page. */
  function take({ limit }: PageRequest): number {
    return limit + 1;
  }

  /** Returns the page of the rows that were read. */
  function toPage<Found extends Row>(rows: Found[], { limit }: PageRequest): Page<Found> {
    const items = rows.slice(0, limit);
    return { items, next: rows.length > limit ? encode(items.at(-1)!) : undefined };
  }

  /**
   * Returns a filter that all rows match. Without one on the date, SQLite ignores the index of the
   * order if the list has rows of several organizations, and sorts all of them.
   */
  function anyDate(column: DateColumn): object {
    return { [column]: direction === 'asc' ? { gte: new Date(0) } : { lte: new Date(MAX_TIME) } };
  }

  function encode(row: Row): string {
    const values = [list, row[key], ...(date ? [row[date]!.getTime()] : [])];
    return Buffer.from(JSON.stringify(values)).toString('base64url');
  }
}

/**
 * Returns a page of a list in memory, sorted by a unique text that `keyOf` returns. `list` is the
 * name of the list.
 */
export function slicePage<Item>(
  items: readonly Item[],
  page: PageRequest,
  { list, keyOf }: { list: string; keyOf: (item: Item) => string },
): Page<Item> {
  const order = createPageOrder({ list, key: 'key', direction: 'asc' });
  const after = page.cursor === undefined ? undefined : decode(page.cursor, list, false).key;
  const rows = items
    .map((item) => ({ key: keyOf(item), item }))
    .filter(({ key }) => after === undefined || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return mapPage(order.toPage(rows, page), ({ item }) => item);
}

/** Returns the page with its items converted. */
export const mapPage = <From, To>({ items, next }: Page<From>, convert: (item: From) => To): Page<To> => ({
  items: items.map(convert),
  next,
});

function decode(cursor: string, list: string, hasDate: boolean): Position {
  const [name, key, time, ...rest] = parse(cursor);
  const hasKey = typeof key === 'string' && isStorable(key);
  const hasTime = typeof time === 'number' && Number.isSafeInteger(time) && time >= 0 && time <= MAX_TIME;
  if (name !== list || !hasKey || (hasDate ? !hasTime : time !== undefined) || rest.length > 0) throw invalidCursor();
  return { key, ...(hasTime && { date: new Date(time) }) };
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(value)) return value;
  } catch {}
  throw invalidCursor();
}

const invalidCursor = () =>
  invalidRequest('Some values are invalid.', { cursor: 'Use the URL of the `Link` header of the previous page.' });
