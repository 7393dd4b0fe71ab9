/**
 * Tools: apps that ask us, at each request, who is there and what they may. Each is known by its
 * slug.
 */

import { conflict, invalidRequest, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Database, Tool } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { isReadable, isStorable } from '../../base/text.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';

export type { Tool } from '../../base/db/open.js';

export interface NewTool {
  slug: string;
  name: string;
  url?: string | undefined;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
}

const SLUG = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const MAX_NAME_LENGTH = 100;
const MAX_URL_LENGTH = 2048;

export type Tools = ReturnType<typeof createTools>;

export function createTools({ db, clock, audit, invalidationBus }: Deps) {
  const recent = createTtlCache<Tool>({ clock });
  invalidationBus.on('tools', () => recent.invalidate());

  return { create, list, find, requireExisting, remove };

  /**
   * Refuses with `invalid_request` by field, or `conflict`. Its URL is an audience from then on:
   * see core/resources.
   */
  async function create({ slug, url, ...given }: NewTool, adminId: string, meta: RequestMeta): Promise<Tool> {
    const name = given.name.normalize('NFC').trim();
    const errors = errorsOf({ slug, name, url });
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values cannot be used.', errors);
    const now = clock.now();
    try {
      const tool = await db.$transaction(async (tx) => {
        const made = await tx.tool.create({
          data: { id: uuidv7(now), slug, name, url: url ? audienceOf(url) : null, createdAt: now },
        });
        await note('tool.created', made, adminId, meta, tx);
        return made;
      });
      await changed(tool);
      return tool;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('There is already a tool with this slug.', { slug: 'This slug is taken.' });
    }
  }

  /** All of them, by their slugs. */
  async function list(): Promise<Tool[]> {
    return db.tool.findMany({ orderBy: { slug: 'asc' } });
  }

  /**
   * The tool, as it was at most a second ago; every process is also told at once when one is made
   * or removed.
   */
  async function find(slug: string): Promise<Tool | undefined> {
    return recent.getOrLoad(slug, async () => (await db.tool.findUnique({ where: { slug } })) ?? undefined);
  }

  /** The same. Refuses with `not_found`. */
  async function requireExisting(slug: string): Promise<Tool> {
    const tool = await find(slug);
    if (!tool) throw toolNotFound();
    return tool;
  }

  /** Its permissions go with it. Refuses with `not_found`. */
  async function remove(slug: string, adminId: string, meta: RequestMeta): Promise<void> {
    const tool = await db.$transaction(async (tx) => {
      const found = await tx.tool.findUnique({ where: { slug } });
      if (!found || (await tx.tool.deleteMany({ where: { id: found.id } })).count === 0) throw toolNotFound();
      await note('tool.deleted', found, adminId, meta, tx);
      return found;
    });
    await changed(tool);
  }

  async function changed({ id, url }: Tool): Promise<void> {
    await invalidationBus.publish('tools', id);
    if (url) await invalidationBus.publish('resources');
  }

  async function note(
    action: 'tool.created' | 'tool.deleted',
    { id, slug }: Tool,
    adminId: string,
    meta: RequestMeta,
    tx: Parameters<Audit['record']>[1],
  ): Promise<void> {
    await audit.record({ action, actor: { kind: 'account', id: adminId }, meta, detail: { tool: id, slug } }, tx);
  }
}

function errorsOf({ slug, name, url }: NewTool): Record<string, string> {
  const readable = isStorable(name) && isReadable(name) && name.length <= MAX_NAME_LENGTH;
  return {
    ...(!SLUG.test(slug) && { slug: 'Use 1 to 64 small letters, digits and - . _ between them.' }),
    ...(!readable && { name: `Use at most ${MAX_NAME_LENGTH} ordinary characters.` }),
    ...(url && !isUrl(url) && { url: 'Give an http or https address, without user, query or fragment.' }),
  };
}

function isUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || text.length > MAX_URL_LENGTH) return false;
  return !url.username && !url.password && !url.search && !url.hash && !/[?#\s]/.test(text);
}

/** As tokens name it: without the slash that a browser adds to an origin. */
const audienceOf = (text: string) => {
  const { origin, pathname, href } = new URL(text);
  return pathname === '/' ? origin : href;
};

const toolNotFound = () => notFound('There is no such tool.');
