/**
 * Tools: apps that validate the credential of each request at Signet. A slug identifies each one.
 */

import { conflict, invalidRequest, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Tool } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { isReadable, isStorable } from '../../base/text.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';

export type { Tool } from '../../base/db/open.js';

export interface NewTool {
  slug: string;
  name: string;
  url?: string | undefined;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
}

const SLUG = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const MAX_NAME_LENGTH = 100;
const MAX_URL_LENGTH = 2048;
/** Tools are cached as a whole. */
const MAX_TOOLS = 1000;

const BY_SLUG = createPageOrder({ list: 'tools', key: 'slug', direction: 'asc' });

export type Tools = ReturnType<typeof createTools>;

export function createTools({ db, transact, clock, audit, invalidationBus }: Deps) {
  const cache = createTtlCache<Tool>({ clock });
  invalidationBus.on('tools', () => cache.invalidate());

  return { create, list, listAll, find, requireExisting, remove };

  /**
   * Registers a tool. Its URL becomes an audience of tokens: see core/resources. Throws `AppError`
   * `invalid_request` by field, or `conflict` if the slug is taken.
   */
  async function create({ slug, url, ...input }: NewTool, adminId: string, meta: RequestMeta): Promise<Tool> {
    const name = input.name.normalize('NFC').trim();
    const errors = findErrors({ slug, name, url });
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values are invalid.', errors);
    const now = clock.now();
    const data = { id: uuidv7(now), slug, name, url: url ? audienceOf(url) : null, createdAt: now };
    return transact(async (uow) => {
      if ((await uow.tx.tool.count()) >= MAX_TOOLS) throw conflict(`There can be at most ${MAX_TOOLS} tools.`);
      const tool = await uow.tx.tool.create({ data });
      await recordChange(uow, 'tool.created', tool, adminId, meta);
      return tool;
    }).catch((error) => {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('There is already a tool with this slug.', { slug: 'This slug is taken.' });
    });
  }

  /** Returns a page of the tools, sorted by slug. */
  async function list(page: PageRequest): Promise<Page<Tool>> {
    const rows = await db.tool.findMany({
      where: BY_SLUG.after(page),
      orderBy: BY_SLUG.orderBy,
      take: BY_SLUG.take(page),
    });
    return BY_SLUG.toPage(rows, page);
  }

  /** Returns all tools, sorted by slug. */
  async function listAll(): Promise<Tool[]> {
    return db.tool.findMany({ orderBy: BY_SLUG.orderBy });
  }

  /** Returns the tool. Caches it for a second, or until a tool changes. */
  async function find(slug: string): Promise<Tool | undefined> {
    return cache.getOrLoad(slug, async () => (await db.tool.findUnique({ where: { slug } })) ?? undefined);
  }

  /** Returns the tool. Throws `AppError` `not_found`. */
  async function requireExisting(slug: string): Promise<Tool> {
    const tool = await find(slug);
    if (!tool) throw toolNotFound();
    return tool;
  }

  /** Deletes the tool and its permissions. Throws `AppError` `not_found`. */
  async function remove(slug: string, adminId: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const tool = await uow.tx.tool.findUnique({ where: { slug } });
      if (!tool || (await uow.tx.tool.deleteMany({ where: { id: tool.id } })).count === 0) throw toolNotFound();
      await recordChange(uow, 'tool.deleted', tool, adminId, meta);
    });
  }

  /** Audits the change and invalidates the caches after the commit. */
  async function recordChange(
    uow: UnitOfWork,
    action: 'tool.created' | 'tool.deleted',
    { id, slug, url }: Tool,
    adminId: string,
    meta: RequestMeta,
  ): Promise<void> {
    await audit.record(uow, action, { by: adminId, meta, detail: { tool: id, slug } });
    uow.afterCommit(() => invalidationBus.publish('tools', id));
    if (url) uow.afterCommit(() => invalidationBus.publish('resources'));
  }
}

function findErrors({ slug, name, url }: NewTool): Record<string, string> {
  const isNameValid = isStorable(name) && isReadable(name) && name.length <= MAX_NAME_LENGTH;
  return {
    ...(!SLUG.test(slug) && { slug: 'Use 1 to 64 lowercase letters and digits, with - . _ between them.' }),
    ...(!isNameValid && { name: `Use at most ${MAX_NAME_LENGTH} ordinary characters.` }),
    ...(url && !isUrl(url) && { url: 'Enter an http or https URL without user, query or fragment.' }),
  };
}

function isUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || text.length > MAX_URL_LENGTH) return false;
  return !url.username && !url.password && !url.search && !url.hash && !/[?#\s]/.test(text);
}

/** Returns the URL as an audience: without the slash that URL parsers add to an origin. */
const audienceOf = (text: string) => {
  const { origin, pathname, href } = new URL(text);
  return pathname === '/' ? origin : href;
};

const toolNotFound = () => notFound('There is no such tool.');
