/**
 * Renders pages from the templates in views/. The `view-models.ts` of each module says which page
 * prints which values. Templates escape every value.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs from 'ejs';
import type { SharedPages } from './view-models.js';

const VIEWS = fileURLToPath(new URL('../../../views/', import.meta.url));

interface Options {
  /** The display name from `BRAND_NAME`, in the header and title of every page. */
  brandName: string;
  /** The folder with the templates. Default: `views/`. */
  directory?: string;
  /** False reads the templates for every page, for development. Default: true. */
  cache?: boolean;
  /**
   * Returns the URL of a file in `public/`. `staticFiles().urlOf` adds a version, so that browsers
   * can cache it for a year.
   */
  assetUrl?: (file: string) => string;
}

/** Renders the pages of one module, and the shared ones. */
export interface Views<Own = unknown> {
  render<Name extends keyof (Own & SharedPages)>(name: Name, values: (Own & SharedPages)[Name]): string;
}

/** Each module names its pages with `Views`. */
export function createViews({ brandName, directory = VIEWS, cache = true, assetUrl = plainAssetUrl }: Options) {
  const templates = new Map<string, ejs.TemplateFunction>();
  const layout = { brandName, stylesheetHref: assetUrl('signet.css'), iconHref: assetUrl('favicon.svg') };
  return { render };

  /** Returns the HTML. Throws for an unknown name or a broken template, which is a bug. */
  function render(name: string, values: object): string {
    return template(name)({ ...values, ...layout });
  }

  function template(name: string): ejs.TemplateFunction {
    const known = templates.get(name);
    if (known) return known;
    const filename = join(directory, `${name}.ejs`);
    if (!existsSync(filename)) throw new Error(`There is no page named ${name}`);
    // Strict mode: a template reads `page.x`, so an absent value is empty and not a ReferenceError.
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
