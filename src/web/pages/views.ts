/**
 * Turns a page's name and its values into HTML. Templates live in views/; which page takes which
 * values stands in the `pages.ts` of its door. Every value is escaped by the template; none is
 * trusted to be HTML.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs from 'ejs';
import type { SharedPages } from './view-models.js';

const VIEWS = fileURLToPath(new URL('../../../views/', import.meta.url));

interface Options {
  /** The display name, from `BRAND_NAME`; in the header and the title of every page. */
  brandName: string;
  /** Where the templates are. Default: `views/` beside the compiled code. */
  directory?: string;
  /** False reads the templates from disk for every page, for work on them. Default: true. */
  cache?: boolean;
  /**
   * The address of a file of `public/`; `staticFiles().urlOf` adds the version that makes it
   * cacheable for a year.
   */
  assetUrl?: (file: string) => string;
}

/** What a door is given: its own pages, and those that are everybody's. */
export interface Views<Own = unknown> {
  render<Name extends keyof (Own & SharedPages)>(name: Name, values: (Own & SharedPages)[Name]): string;
}

/** For all doors: each names, by `Views`, the pages that it renders. */
export function createViews({ brandName, directory = VIEWS, cache = true, assetUrl = plainAssetUrl }: Options) {
  const templates = new Map<string, ejs.TemplateFunction>();
  const layout = { brandName, stylesheetHref: assetUrl('signet.css'), iconHref: assetUrl('favicon.svg') };
  return { render };

  /** The whole page. An unknown name or a broken template throws: that is a bug, not a refusal. */
  function render(name: string, values: object): string {
    return template(name)({ ...values, ...layout });
  }

  function template(name: string): ejs.TemplateFunction {
    const known = templates.get(name);
    if (known) return known;
    const filename = join(directory, `${name}.ejs`);
    if (!existsSync(filename)) throw new Error(`There is no page named ${name}`);
    // Strict mode: a template reads `page.x` only, so a value that was left out is empty instead of
    // a ReferenceError.
    const compiled = ejs.compile(readFileSync(filename, 'utf8'), {
      filename,
      root: directory,
      cache,
      strict: true,
      localsName: 'page',
    });
    if (cache) templates.set(name, compiled);
    return compiled;
  }
}

function plainAssetUrl(file: string): string {
  return `/assets/${file}`;
}
